-- The log of one that has ended goes on by a record; nothing else of it changes. ARGV: cid, rev, checkpoint, record, facts.
-- -> ok | unknown | living | moved
local cid, x = ARGV[1], call('HMGET', X(ARGV[1]), 'st', 'rev')
if not x[1] then return {'unknown'} end
if not TERMINAL[x[1]] then return {'living'} end
if tonumber(x[2]) + 1 ~= tonumber(ARGV[2]) then return {'moved'} end
call('SET', P .. 'c:' .. cid, ARGV[3])
call('RPUSH', P .. 'l:' .. cid, stamp(now_ms()) .. ' ' .. ARGV[4])
call('HSET', X(cid), 'rev', ARGV[2])
for i = 5, #ARGV do fact(ARGV[i]) end
return {'ok'}
