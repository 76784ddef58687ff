-- ARGV: cid, more JSON, less JSON, exactly JSON, key, by, mail line. -> ok | unknown | terminal | budget
local cid, more, less = ARGV[1], cjson.decode(ARGV[2]), cjson.decode(ARGV[3])
local x = call('HMGET', X(cid), 'st', 'wk', 'h')
if not x[1] then return {'unknown'} end
local member = 'B ' .. cid .. ' ' .. ARGV[5]
if call('ZSCORE', P .. 'seen', member) then return {'ok', call('HGETALL', P .. 'b:' .. cid)} end
if TERMINAL[x[1]] then return {'terminal', x[1]} end
for resource, amount in pairs(cjson.decode(ARGV[4])) do
  local granted, used = money(cid, resource)
  local by = amount - (granted or used)
  if by < 0 then less[resource] = -by elseif by > 0 or not granted then more[resource] = by end
end
for resource, amount in pairs(less) do
  local granted, used = money(cid, resource)
  local free = granted and math.max(0, granted - used) or 0
  if amount > free then return {'budget', resource, amount, free} end
end
local at = now_ms()
call('ZADD', P .. 'seen', at, member)

local change, richer = {}, false
for resource, amount in pairs(less) do change[resource] = -amount end
for resource, amount in pairs(more) do
  richer = richer or amount > 0
  local granted, used = money(cid, resource)
  change[resource] = (change[resource] or 0) + amount + (granted and 0 or used)
end
grant(cid, more)
add(cid, 'g', less, -1)
pass_on(cid, change)
if next(less) then
  local top = cid
  while (call('HGET', X(top), 'pa') or '') ~= '' do top = call('HGET', X(top), 'pa') end
  owe(top, less)
end
TOUCHED[cid] = true
fact(cjson.encode({type = 'rebudgeted', cid = cid, change = change, by = ARGV[6], key = ARGV[5], at_ms = at}))
if richer then tell_granted(cid, ARGV[7], at) end
tell_crossings(at)
return {'ok', call('HGETALL', P .. 'b:' .. cid)}
