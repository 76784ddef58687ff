-- Totals and depths. -> {name, value, ...}
local out = call('HGETALL', P .. 'counts')
local function put(name, value) out[#out + 1] = name; out[#out + 1] = tostring(value) end
for _, pool in ipairs(call('SMEMBERS', P .. 'pools')) do
  local set = P .. 'ready:' .. pool
  local oldest = call('ZRANGE', set, 0, 0, 'WITHSCORES')
  put('ready:' .. pool, call('ZCARD', set))
  put('ready_age_ms:' .. pool, oldest[2] and math.floor(peek_ms() - math.abs(tonumber(oldest[2]))) or 0)
end
for _, holder in ipairs(call('ZRANGE', P .. 'leases', 0, -1)) do
  local held = call('SCARD', P .. 'held:' .. holder)
  if held > 0 then put('held:' .. holder, held) end
end
local room = call('HGETALL', P .. 'room')
for i = 1, #room, 2 do put(room[i], room[i + 1]) end
put('outbox', call('XLEN', P .. 'outbox'))
put('projections', call('XLEN', P .. 'project'))
put('timers', call('ZCARD', P .. 'timers'))
put('leases', call('ZCARD', P .. 'leases'))
local awake = 0
for _, holder in ipairs(call('ZRANGE', P .. 'leases', 0, -1)) do awake = awake + call('SCARD', P .. 'held:' .. holder) end
put('awake', awake)
put('waiting', call('HLEN', P .. 'waits'))
put('dead_letters', call('LLEN', P .. 'dead'))
put('events', call('XLEN', P .. 'events'))
put('continuations', call('ZCARD', P .. 'all'))
put('now_ms', text(peek_ms()))
put('clock_ahead_ms', call('GET', P .. 'ahead') or 0)
local leap = call('GET', P .. 'leap')
put('clock_doubted_ms', leap and text(leap - call('GET', P .. 'floor')) or 0)
return out
