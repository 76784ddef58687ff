-- Fields that want to be looked through. ARGV: limit -> {cid, events told, what was written of its last look ('' for none), ...}
local told, out = tonumber(call('HGET', P .. 'counts', 'published')) or 0, {}
for _, cid in ipairs(call('ZRANGE', P .. 'asked', 0, tonumber(ARGV[1]) - 1)) do
  out[#out + 1] = cid
  out[#out + 1] = text(told)
  out[#out + 1] = call('HGET', P .. 'looked', cid) or ''
end
return out
