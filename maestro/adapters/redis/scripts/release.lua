-- Handed back uncommitted. ARGV: cid, epoch, retry_in_ms, error, counts (0|1). -> ok | fenced
local cid = ARGV[1]
local refusal = fenced(cid, ARGV[2])
if refusal then return refusal end
local at, retry, journal = now_ms(), tonumber(ARGV[3]), P .. 'j:' .. cid
local x = call('HMGET', X(cid), 'h', 'cs')
held_away(cid, x[1])
if ARGV[5] == '0' then call('HINCRBY', X(cid), 'tr', -1) end
if ARGV[4] == '' then call('HDEL', P .. 'err', cid) else call('HSET', P .. 'err', cid, ARGV[4]) end
for _, field in ipairs(call('HKEYS', journal)) do
  local ordinal = string.match(field, '^(%d+)%.f$')
  if ordinal then call('HDEL', journal, field, ordinal) end
end
local urgent = call('LLEN', P .. 'k:' .. cid) > tonumber(x[2] or '0')
if retry > 0 and not urgent then
  call('ZADD', P .. 'timers', at + retry, cid .. ' !retry')
  signal('timers')
else
  make_ready(cid, at)
end
return {'ok'}
