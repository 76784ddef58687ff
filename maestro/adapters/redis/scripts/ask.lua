-- A field wants to be looked through for what is near its goal, up to now. ARGV: cid
local told = tonumber(call('HGET', P .. 'counts', 'published')) or 0
now_ms()
call('ZADD', P .. 'asked', told, ARGV[1])
signal('gather')
