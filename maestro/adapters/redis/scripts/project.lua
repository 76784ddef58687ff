-- Scored projections enter fields, and wake. ARGV: per item position, cid, entry id, entry, half-life, rank key,
--   wake key ('' for none), mail id, line. -> how many were new
local at, n = now_ms(), 0
for i = 1, #ARGV, 9 do
  local cid = ARGV[i + 1]
  if call('XDEL', P .. 'project', ARGV[i]) == 1 and (call('HGET', X(cid), 'st') or 'moved') ~= 'moved' then
    local set, entries = P .. 'f:' .. cid .. ':' .. ARGV[i + 4], P .. 'e:' .. cid
    call('HSET', entries, ARGV[i + 2], ARGV[i + 3])
    call('ZADD', set, ARGV[i + 5], ARGV[i + 2])
    if call('ZCARD', set) > 1000 then
      local lowest = call('ZPOPMIN', set)
      call('HDEL', entries, lowest[1])
    end
    if ARGV[i + 6] ~= '' then
      deliver_or_bury(cid, 'mail', ARGV[i + 6], ARGV[i + 7], ARGV[i + 8], at)
    end
    n = n + 1
  end
end
return n
