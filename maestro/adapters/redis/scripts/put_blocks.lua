-- Blocks under their hashes, each written once. ARGV: name, bytes, ...
local at = text(now_ms())
for i = 1, #ARGV, 2 do
  call('SETNX', P .. 'o:' .. ARGV[i], ARGV[i + 1])
  call('ZADD', P .. 'blocks', at, ARGV[i])
end
return #ARGV / 2
