-- Due calls go into the caller's hands. ARGV: limit, inherit (0|1). -> {now, next due or '', id, body, id, body...}
local at = now_ms()
if ARGV[2] == '1' then
  local taken = call('ZRANGE', P .. 'calls:taken', 0, -1, 'WITHSCORES')
  for i = 1, #taken, 2 do call('ZADD', P .. 'calls:due', taken[i + 1], taken[i]) end
  call('DEL', P .. 'calls:taken')
end
local due = call('ZRANGEBYSCORE', P .. 'calls:due', '-inf', text(at), 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[1]))
local found = {text(at), ''}
for i = 1, #due, 2 do
  call('ZREM', P .. 'calls:due', due[i])
  call('ZADD', P .. 'calls:taken', due[i + 1], due[i])
  found[#found + 1], found[#found + 2] = due[i], call('HGET', P .. 'calls', due[i])
end
local first = call('ZRANGE', P .. 'calls:due', 0, 0, 'WITHSCORES')
if first[2] then found[2] = text(tonumber(first[2])) end
return found
