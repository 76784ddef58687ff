-- Who is held by an actor now. -> {cid, holder, ...}
local out = {}
for _, holder in ipairs(call('ZRANGE', P .. 'leases', 0, -1)) do
  for _, cid in ipairs(call('SMEMBERS', P .. 'held:' .. holder)) do
    out[#out + 1] = cid
    out[#out + 1] = holder
  end
end
return out
