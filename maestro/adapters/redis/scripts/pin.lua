-- ARGV: cid, `<1|0> <node> ` ('' unpins), the pool it waits in while it is pinned. -> ok | no | unknown | terminal
local cid = ARGV[1]
local x = call('HMGET', X(cid), 'st', 'pl', 'pn')
if not x[1] then return 'unknown' end
if ARGV[2] == '' then return unpin(cid) and 'ok' or 'no' end
if TERMINAL[x[1]] then return 'terminal' end
local home = x[3] and home_of(x[3]) or x[2]
call('HSET', X(cid), 'pn', ARGV[2] .. home)
repool(cid, ARGV[3])
return 'ok'
