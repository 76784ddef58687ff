-- What an account may lend changes, once per key. ARGV: path, more JSON, less JSON, exactly JSON, key.
-- -> ok, its ledger | budget, resource, asked, free
local path, more, less = ARGV[1], cjson.decode(ARGV[2]), cjson.decode(ARGV[3])
local place, member = P .. 'acct:' .. path, 'G ' .. path .. ' ' .. ARGV[5]
if call('ZSCORE', P .. 'seen', member) then return {'ok', call('HGETALL', place)} end
local function standing(resource)
  local m = call('HMGET', place, resource .. '.g', resource .. '.l')
  return tonumber(m[1]), tonumber(m[2]) or 0
end
for resource, amount in pairs(cjson.decode(ARGV[4])) do
  local granted, lent = standing(resource)
  local by = amount - (granted or lent)
  if by < 0 then less[resource] = -by elseif by > 0 or not granted then more[resource] = by end
end
for resource, amount in pairs(less) do
  local granted, lent = standing(resource)
  local free = granted and math.max(0, granted - lent) or 0
  if amount > free then return {'budget', resource, amount, free} end
end
local at, change = now_ms(), {}
call('ZADD', P .. 'seen', at, member)
call('SADD', P .. 'accts', path)
for resource, amount in pairs(less) do
  call('HINCRBY', place, resource .. '.g', -amount)
  change[resource] = -amount
end
for resource, amount in pairs(more) do
  local granted, lent = standing(resource)
  call('HSET', place, resource .. '.g', text((granted or lent) + amount))
  change[resource] = (change[resource] or 0) + amount
end
fact(cjson.encode({type = 'account_granted', account = path, change = change, key = ARGV[5], at_ms = at}))
return {'ok', call('HGETALL', place)}
