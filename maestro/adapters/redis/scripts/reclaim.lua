-- What a dead holder held is ready again, under a new epoch. ARGV: holder. -> how many
local at, holder, n = now_ms(), ARGV[1], 0
leave_home(own_name(holder))
for _, cid in ipairs(call('SMEMBERS', P .. 'held:' .. holder)) do
  if call('HGET', X(cid), 'h') == holder then
    call('HINCRBY', X(cid), 'ep', 1)
    call('HSET', X(cid), 'h', '')
    make_ready(cid, at)
    n = n + 1
  end
end
call('DEL', P .. 'held:' .. holder)
call('ZREM', P .. 'leases', holder)
if n > 0 then count('reclaimed', n) end
return n
