-- Handed back uncommitted. ARGV: cid, epoch, retry_in_ms, error, counts (0|1). -> ok | fenced
local cid = ARGV[1]
local refusal = fenced(cid, ARGV[2])
if refusal then return refusal end
local at, retry, journal = now_ms(), tonumber(ARGV[3]), P .. 'j:' .. cid
local x = call('HMGET', X(cid), 'h', 'pl')
held_away(cid, x[1])
if ARGV[5] == '0' then call('HINCRBY', X(cid), 'tr', -1) end
if ARGV[4] == '' then call('HDEL', P .. 'err', cid) else call('HSET', P .. 'err', cid, ARGV[4]) end
for _, field in ipairs(call('HKEYS', journal)) do
  local ordinal = string.match(field, '^(%d+)%.f$')
  if ordinal then call('HDEL', journal, field, ordinal) end
end
if retry > 0 then
  call('ZADD', P .. 'timers', at + retry, cid .. ' !retry')
  signal('timers')
  if call('LLEN', P .. 'k:' .. cid) > 0 then look(cid, at) end
elseif call('HGET', X(cid), 'fr') == '0' then
  ready(cid, x[2], at)
end
return {'ok'}
