-- Who is not born by now never will be. ARGV: cid. -> 1 | 0 (it is born)
if call('EXISTS', X(ARGV[1])) == 1 then return 0 end
call('ZADD', P .. 'seen', now_ms(), 'V ' .. ARGV[1])
return 1
