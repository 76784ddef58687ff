-- ARGV: holder, lease_ms. -> those of the holder that control mail waits for
if call('EXISTS', P .. 'held:' .. ARGV[1]) == 0 then
  call('ZREM', P .. 'leases', ARGV[1])
  return {}
end
call('ZADD', P .. 'leases', now_ms() + tonumber(ARGV[2]), ARGV[1])
local urgent = {}
for _, cid in ipairs(call('SMEMBERS', P .. 'held:' .. ARGV[1])) do
  if call('LLEN', P .. 'k:' .. cid) > 0 then urgent[#urgent + 1] = cid end
end
return urgent
