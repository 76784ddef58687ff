-- The tops of a field. ARGV: cid, n, half-lives... -> {half-life, key, entry, ...}
local out = {}
for i = 3, #ARGV do
  local flat = call('ZREVRANGE', P .. 'f:' .. ARGV[1] .. ':' .. ARGV[i], 0, tonumber(ARGV[2]) - 1, 'WITHSCORES')
  for n = 1, #flat, 2 do
    local entry = call('HGET', P .. 'e:' .. ARGV[1], flat[n])
    if entry then
      out[#out + 1] = ARGV[i]
      out[#out + 1] = flat[n + 1]
      out[#out + 1] = entry
    end
  end
end
return out
