-- Results of tools, and claims to fetch them. ARGV: verb, key, holder, ms (lease or time to live), value or 1 (had waited)
--   look -> hit, value | mine | busy     keep, let_go -> ok
-- What has run out is swept by whoever looks, on the store's clock: a virtual one knows no EXPIRE.
local verb, key, holder, ms, at = ARGV[1], P .. 'tc:' .. ARGV[2], ARGV[3], tonumber(ARGV[4]), now_ms()
local due = P .. 'tcs'
for _, old in ipairs(call('ZRANGEBYSCORE', due, '-inf', text(at), 'LIMIT', 0, 20)) do
  call('DEL', P .. 'tc:' .. old)
  call('ZREM', due, old)
end
local slot = call('HMGET', key, 'h', 'v')

local function stand(until_ms, value)
  call('DEL', key)
  call('HSET', key, 'h', holder)
  if value then call('HSET', key, 'v', value) end
  call('ZADD', due, text(until_ms), ARGV[2])
end

local live = slot[1] and (tonumber(call('ZSCORE', due, ARGV[2]) or '0') > at)
if verb == 'look' then
  if live and slot[2] then
    if slot[1] ~= holder then count(ARGV[5] == '1' and 'tool_cache_shared' or 'tool_cache_hits') end
    return {'hit', slot[2]}
  end
  if live and slot[1] ~= holder then return {'busy'} end
  stand(at + ms)
  count('tool_cache_misses')
  return {'mine'}
end
if slot[1] ~= holder then return {'ok'} end
if verb == 'keep' then
  stand(at + ms, ARGV[5])
elseif not slot[2] then
  call('DEL', key)
  call('ZREM', due, ARGV[2])
end
return {'ok'}
