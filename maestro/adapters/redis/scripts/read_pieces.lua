-- Pieces of a streamed answer. ARGV: cid, call id, after which number, how many -> rows
local list = pieces_of(ARGV[1], ARGV[2])
local first = telling(ARGV[1], ARGV[2]).last - call('LLEN', list) + 1
local from = math.max(tonumber(ARGV[3]) + 1, first) - first
return call('LRANGE', list, from, from + tonumber(ARGV[4]) - 1)
