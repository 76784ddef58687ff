-- What a family owed is its accounts' again, once per key. ARGV: paths JSON, key, cid, amounts JSON.
local member, amounts, at = 'Y ' .. ARGV[2], cjson.decode(ARGV[4]), now_ms()
if call('ZSCORE', P .. 'seen', member) then return 0 end
call('ZADD', P .. 'seen', at, member)
local paths = cjson.decode(ARGV[1])
for _, path in ipairs(paths) do
  for resource, amount in pairs(amounts) do
    local lent = tonumber(call('HGET', P .. 'acct:' .. path, resource .. '.l') or '0')
    if lent > 0 then call('HINCRBY', P .. 'acct:' .. path, resource .. '.l', text(-math.min(lent, amount))) end
  end
end
fact(cjson.encode({type = 'slice_repaid', account = paths[1], cid = ARGV[3], amount = amounts, key = ARGV[2], at_ms = at}))
return 1
