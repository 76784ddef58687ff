-- What a dead holder held is ready again, under a new epoch. ARGV: holder. -> how many
local at, holder, n = now_ms(), ARGV[1], 0
for _, cid in ipairs(call('SMEMBERS', P .. 'held:' .. holder)) do
  local x = call('HMGET', X(cid), 'h', 'pl', 'fr')
  if x[1] == holder then
    call('HINCRBY', X(cid), 'ep', 1)
    call('HSET', X(cid), 'h', '')
    if x[3] == '0' then ready(cid, x[2], at) end
    n = n + 1
  end
end
call('DEL', P .. 'held:' .. holder)
call('ZREM', P .. 'leases', holder)
if n > 0 then count('reclaimed', n) end
return n
