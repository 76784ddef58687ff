-- Entries have the rank that the engine gives them. ARGV: per entry cid, half-life, id, entry as it was, entry, rank key
-- -> how many; one that has changed meanwhile stays
local at, n = now_ms(), 0
for i = 1, #ARGV, 6 do
  local cid, half_life, id = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if call('HGET', P .. 'e:' .. cid, id) == ARGV[i + 3] and call('ZSCORE', P .. 'f:' .. cid .. ':' .. half_life, id) then
    shelve(cid, half_life, ARGV[i + 5], id, ARGV[i + 4], at)
    n = n + 1
  end
end
return n
