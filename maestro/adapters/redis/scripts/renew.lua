-- ARGV: holder, lease_ms. -> what the holder holds, and those of them that an order to end waits for
local ENDING = {kill = true, merge = true, cancel = true} -- no other order interrupts a tick, however often it comes

-- What it was adopted with is being carried out; the same once more is no news.
local function is_urgent(cid)
  local seen, under_way = tonumber(call('HGET', X(cid), 'cs') or '0'), {}
  for i, line in ipairs(call('LRANGE', P .. 'k:' .. cid, 0, -1)) do
    local order = string.match(line, '^control:(%a+) ') or ''
    if i <= seen then under_way[order] = true elseif ENDING[order] and not under_way[order] then return true end
  end
  return false
end

if call('EXISTS', P .. 'held:' .. ARGV[1]) == 0 then
  call('ZREM', P .. 'leases', ARGV[1])
  return {{}, {}}
end
call('ZADD', P .. 'leases', now_ms() + tonumber(ARGV[2]), ARGV[1])
local held, urgent = call('SMEMBERS', P .. 'held:' .. ARGV[1]), {}
for _, cid in ipairs(held) do
  if is_urgent(cid) then urgent[#urgent + 1] = cid end
end
return {held, urgent}
