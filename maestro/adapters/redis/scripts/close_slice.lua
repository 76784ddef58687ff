-- A slice is the family's, or its accounts' again. ARGV: paths JSON, key, 1 if the family has it.
local key, known = ARGV[2], call('HGET', P .. 'slices', ARGV[2])
if not known then return 0 end
local slice, at = cjson.decode(known), now_ms()
call('HDEL', P .. 'slices', key)
call('ZADD', P .. 'seen', at, 'L ' .. key)
if ARGV[3] == '1' then return 1 end
for _, path in ipairs(cjson.decode(ARGV[1])) do
  for resource, amount in pairs(slice.amount) do
    call('HINCRBY', P .. 'acct:' .. path, resource .. '.l', text(-amount))
  end
end
fact(cjson.encode({type = 'slice_repaid', account = slice.path, cid = slice.cid, amount = slice.amount, key = key, at_ms = at}))
return 1
