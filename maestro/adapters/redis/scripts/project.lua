-- Scored projections enter fields, and wake. ARGV: per item position, cid, entry id, entry, half-life, rank key,
--   wake key ('' for none), mail id, line. -> how many were new
local at, n = now_ms(), 0
for i = 1, #ARGV, 9 do
  local cid = ARGV[i + 1]
  if call('XDEL', P .. 'project', ARGV[i]) == 1 and call('EXISTS', X(cid)) == 1 then
    local set, entries = P .. 'f:' .. cid .. ':' .. ARGV[i + 4], P .. 'e:' .. cid
    call('HSET', entries, ARGV[i + 2], ARGV[i + 3])
    call('ZADD', set, ARGV[i + 5], ARGV[i + 2])
    if call('ZCARD', set) > 1000 then
      local lowest = call('ZPOPMIN', set)
      call('HDEL', entries, lowest[1])
    end
    if ARGV[i + 6] ~= '' then
      local outcome = deliver(cid, 'mail', ARGV[i + 6], ARGV[i + 7], ARGV[i + 8], at)
      if outcome == 'full' then
        call('RPUSH', P .. 'dead', cjson.encode({cause = 'mailbox_full', to = cid, kind = 'event', id = ARGV[i + 7], payload = ARGV[i + 8]}))
        count('dead')
      end
    end
    n = n + 1
  end
end
return n
