-- A new incarnation begins. ARGV: store id, incarnation, note for those in hand, fact JSON. -> how many were in hand
-- Whoever held one is fenced: by its epoch, and for good, because every epoch from now on is larger than any before.
local who, incarnation = call('GET', P .. 'who') or '', tonumber(ARGV[2])
local id, was = string.match(who, '^(%S+) (%d+)')
if id == ARGV[1] and tonumber(was) >= incarnation then return 0 end
call('SET', P .. 'who', ARGV[1] .. ' ' .. ARGV[2])
local at, n = now_ms(), 0
for _, holder in ipairs(call('ZRANGE', P .. 'leases', 0, -1)) do
  for _, cid in ipairs(call('SMEMBERS', P .. 'held:' .. holder)) do
    if call('HGET', X(cid), 'h') == holder then
      call('HSET', X(cid), 'h', '', 'ep', text(next_epoch(tonumber(call('HGET', X(cid), 'ep')))))
      call('HSET', P .. 'err', cid, ARGV[3])
      make_ready(cid, at)
      n = n + 1
    end
  end
  call('DEL', P .. 'held:' .. holder)
end
call('DEL', P .. 'leases')
count('incarnations')
fact(ARGV[4])
return n
