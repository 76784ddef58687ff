-- The heaviest entries of a field, of all its sets, heaviest first. ARGV: cid, n, now, half-lives... -> {half-life,
-- key, entry, ...}. Weights are compared as maestro.field.decay does: by log2, the older a key the lighter; of two that
-- weigh the same, the one of the shorter half-life comes first, and in one set the one that Redis puts first.
local n, now, rows = tonumber(ARGV[2]), tonumber(ARGV[3]), {}
for i = 4, #ARGV do
  local aged = now / tonumber(ARGV[i])
  local flat = call('ZREVRANGE', P .. 'f:' .. ARGV[1] .. ':' .. ARGV[i], 0, n - 1, 'WITHSCORES')
  for k = 1, #flat, 2 do
    rows[#rows + 1] = { aged - tonumber(flat[k + 1]), #rows, ARGV[i], flat[k + 1], flat[k] }
  end
end
table.sort(rows, function(a, b)
  if a[1] ~= b[1] then return a[1] < b[1] end
  return a[2] < b[2]
end)
local out = {}
for i = 1, #rows do
  if #out == 3 * n then break end
  local entry = call('HGET', P .. 'e:' .. ARGV[1], rows[i][5])
  if entry then
    out[#out + 1] = rows[i][3]
    out[#out + 1] = rows[i][4]
    out[#out + 1] = entry
  end
end
return out
