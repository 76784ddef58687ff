-- A model call that waits for a pager. ARGV: call id, due ms, body. -> 1 | 0 it is there already, and is now as told here
local known = call('HEXISTS', P .. 'calls', ARGV[1]) == 1
call('HSET', P .. 'calls', ARGV[1], ARGV[3])
if known then -- in whose hands it is stays
  call('ZADD', P .. 'calls:due', 'XX', ARGV[2], ARGV[1])
  return 0
end
call('ZADD', P .. 'calls:due', ARGV[2], ARGV[1])
signal('calls')
return 1
