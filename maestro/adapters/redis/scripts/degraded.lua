-- Entries that wait for the engine that was away, oldest first; those that have left their field wait no more.
-- ARGV: limit -> {cid, half-life, entry, ...}
local out, gone = {}, {}
for _, member in ipairs(call('ZRANGE', P .. 'degraded', 0, tonumber(ARGV[1]) - 1)) do
  local cid, half_life, id = string.match(member, '^(%S+) (%S+) (%S+)$')
  local status = call('HGET', X(cid), 'st')
  local ranked = status and not TERMINAL[status] and call('ZSCORE', P .. 'f:' .. cid .. ':' .. half_life, id)
  local entry = ranked and call('HGET', P .. 'e:' .. cid, id)
  if entry then
    out[#out + 1] = cid
    out[#out + 1] = half_life
    out[#out + 1] = entry
  else
    gone[#gone + 1] = member
  end
end
if #gone > 0 then
  now_ms()
  for _, member in ipairs(gone) do call('ZREM', P .. 'degraded', member) end
end
return out
