-- ARGV: cid, more JSON, less JSON, key, mail line. -> ok | unknown | terminal | budget
local cid, more, less = ARGV[1], cjson.decode(ARGV[2]), cjson.decode(ARGV[3])
local x = call('HMGET', X(cid), 'st', 'wk')
if not x[1] then return {'unknown'} end
local member = 'B ' .. cid .. ' ' .. ARGV[4]
if call('ZSCORE', P .. 'seen', member) then return {'ok', call('HGETALL', P .. 'b:' .. cid)} end
if TERMINAL[x[1]] then return {'terminal', x[1]} end
for resource, amount in pairs(less) do
  local granted, used = money(cid, resource)
  local free = granted and math.max(0, granted - used) or 0
  if amount > free then return {'budget', resource, amount, free} end
end
local at = now_ms()
call('ZADD', P .. 'seen', at, member)
grant(cid, more)
add(cid, 'g', less, -1)
if string.find(x[2], ',budget,', 1, true) and next(more) then deliver(cid, 'control', 'control', '', ARGV[5], at) end
return {'ok', call('HGETALL', P .. 'b:' .. cid)}
