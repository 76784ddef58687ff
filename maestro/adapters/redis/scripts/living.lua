-- Of a stretch of continuations, oldest first, those that have not ended. ARGV: first, limit.
-- -> {how long the stretch is, cid, hold, checkpoint, ...}
local first = tonumber(ARGV[1])
local cids = call('ZRANGE', P .. 'all', first, first + tonumber(ARGV[2]) - 1)
local out = {#cids}
for _, cid in ipairs(cids) do
  local x = call('HMGET', X(cid), 'st', 'hd')
  if x[1] and not TERMINAL[x[1]] then
    out[#out + 1] = cid
    out[#out + 1] = x[2]
    out[#out + 1] = call('GET', P .. 'c:' .. cid)
  end
end
return out
