-- No code for it: handed back uncommitted, and nothing of it changes but who may wake it.
-- ARGV: cid, epoch, hold, reason, control mails taken, what a person is asked ('' for nothing), facts... -> ok | fenced
local cid = ARGV[1]
local refusal = fenced(cid, ARGV[2])
if refusal then return refusal end
held_away(cid, call('HGET', X(cid), 'h'))
call('HSET', X(cid), 'tr', 0, 'hd', ARGV[3])
call('HSET', P .. 'err', cid, ARGV[4])
if ARGV[5] ~= '0' then
  call('LTRIM', P .. 'k:' .. cid, ARGV[5], -1)
  count('mail_read', ARGV[5])
end
if ARGV[6] == '' then call('HDEL', P .. 'waits', cid) else call('HSET', P .. 'waits', cid, ARGV[6]) end
for i = 7, #ARGV do fact(ARGV[i]) end
if call('LLEN', P .. 'k:' .. cid) > 0 then make_ready(cid, now_ms()) end
return {'ok'}
