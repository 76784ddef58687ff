-- A slice for a family, from every account of a path, once per key. ARGV: paths JSON (the account's own first), key, cid,
-- kind, asked JSON, 1 if what is limited and not asked for is in it with 0. -> ok, amounts JSON | closed | unknown |
-- budget, path, resource, asked, free
local paths, key, asked = cjson.decode(ARGV[1]), ARGV[2], cjson.decode(ARGV[5])
local known = call('HGET', P .. 'slices', key)
if known then return {'ok', cjson.encode(cjson.decode(known).amount)} end
if call('ZSCORE', P .. 'seen', 'L ' .. key) then return {'closed'} end
local found = false
for _, path in ipairs(paths) do
  local flat = call('HGETALL', P .. 'acct:' .. path)
  found = found or #flat > 0
  for i = 1, #flat, 2 do
    local resource = string.match(flat[i], '^(.*)%.g$')
    if resource and ARGV[6] == '1' and not asked[resource] then asked[resource] = 0 end
  end
end
if not found then return {'unknown'} end
for _, path in ipairs(paths) do
  for resource, amount in pairs(asked) do
    local m = call('HMGET', P .. 'acct:' .. path, resource .. '.g', resource .. '.l')
    local free = m[1] and tonumber(m[1]) - (tonumber(m[2]) or 0)
    if free and amount > 0 and free < amount then return {'budget', path, resource, amount, math.max(0, free)} end
  end
end
local at = now_ms()
for _, path in ipairs(paths) do
  call('SADD', P .. 'accts', path)
  for resource, amount in pairs(asked) do call('HINCRBY', P .. 'acct:' .. path, resource .. '.l', text(amount)) end
end
local slice = {path = paths[1], key = key, cid = ARGV[3], kind = ARGV[4], amount = asked, at_ms = at}
call('HSET', P .. 'slices', key, cjson.encode(slice))
fact(cjson.encode({type = 'slice_lent', account = paths[1], cid = ARGV[3], amount = asked, key = key, at_ms = at}))
return {'ok', cjson.encode(asked)}
