-- Blocks that nothing refers to, unless they were put again. ARGV: before ms, names... -> how many went
local n = 0
for i = 2, #ARGV do
  local put = call('ZSCORE', P .. 'blocks', ARGV[i])
  if put and tonumber(put) < tonumber(ARGV[1]) then
    call('DEL', P .. 'o:' .. ARGV[i])
    call('ZREM', P .. 'blocks', ARGV[i])
    n = n + 1
  end
end
return n
