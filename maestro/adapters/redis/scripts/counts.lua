-- Totals and depths. -> {name, value, ...}
local out = call('HGETALL', P .. 'counts')
local function put(name, value) out[#out + 1] = name; out[#out + 1] = tostring(value) end
for _, pool in ipairs(call('SMEMBERS', P .. 'pools')) do
  local set = P .. 'ready:' .. pool
  local oldest = call('ZRANGE', set, 0, 0, 'WITHSCORES')
  put('ready:' .. pool, call('ZCARD', set))
  put('ready_age_ms:' .. pool, oldest[2] and math.floor(now_ms() - math.abs(tonumber(oldest[2]))) or 0)
end
put('outbox', call('XLEN', P .. 'outbox'))
put('projections', call('XLEN', P .. 'project'))
put('timers', call('ZCARD', P .. 'timers'))
put('leases', call('ZCARD', P .. 'leases'))
put('waiting', call('HLEN', P .. 'waits'))
put('dead_letters', call('LLEN', P .. 'dead'))
put('events', call('XLEN', P .. 'events'))
put('continuations', call('ZCARD', P .. 'all'))
put('now_ms', text(now_ms()))
return out
