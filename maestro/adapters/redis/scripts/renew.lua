-- ARGV: holder, lease_ms. -> what the holder holds, and those of them that an order waits for
local IDLE = {granted = true, notified = true, crashed = true, edited = true} -- neither money nor a mark nor a child nor a view interrupts anybody
if call('EXISTS', P .. 'held:' .. ARGV[1]) == 0 then
  call('ZREM', P .. 'leases', ARGV[1])
  return {{}, {}}
end
call('ZADD', P .. 'leases', now_ms() + tonumber(ARGV[2]), ARGV[1])
local held, urgent = call('SMEMBERS', P .. 'held:' .. ARGV[1]), {}
for _, cid in ipairs(held) do
  -- what it was adopted with is being carried out; only what came since is news
  for _, line in ipairs(call('LRANGE', P .. 'k:' .. cid, call('HGET', X(cid), 'cs') or 0, -1)) do
    if not IDLE[string.match(line, '^control:(%a+) ')] then
      urgent[#urgent + 1] = cid
      break
    end
  end
end
return {held, urgent}
