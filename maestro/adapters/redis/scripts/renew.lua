-- ARGV: holder, lease_ms. -> those of the holder that an order waits for
if call('EXISTS', P .. 'held:' .. ARGV[1]) == 0 then
  call('ZREM', P .. 'leases', ARGV[1])
  return {}
end
call('ZADD', P .. 'leases', now_ms() + tonumber(ARGV[2]), ARGV[1])
local urgent = {}
for _, cid in ipairs(call('SMEMBERS', P .. 'held:' .. ARGV[1])) do
  -- what it was adopted with is being carried out; only what came since is news
  for _, line in ipairs(call('LRANGE', P .. 'k:' .. cid, call('HGET', X(cid), 'cs') or 0, -1)) do
    local idle = string.find(line, '"subject":"granted"', 1, true) or string.find(line, '"subject":"notified"', 1, true)
    if not idle then -- neither money nor a mark interrupts anybody
      urgent[#urgent + 1] = cid
      break
    end
  end
end
return urgent
