-- ARGV: cid, 1|0, by, reason, one|tree. -> 1, or 0 when nobody has that id
-- Frozen with its tree: whoever is born to it meanwhile is born frozen.
local cid, at = ARGV[1], now_ms()
local x = call('HMGET', X(cid), 'fr', 'pl', 'st', 'ft')
if not x[1] then return 0 end
if TERMINAL[x[3]] then return 1 end
local told = {cid = cid, by = ARGV[3], reason = ARGV[4], scope = ARGV[5], at_ms = at}
if ARGV[2] == '1' then
  local tree = ARGV[5] == 'tree' and x[4] ~= '1'
  if x[1] ~= '0' and not tree then return 1 end
  if tree then call('HSET', X(cid), 'ft', '1') end
  call('HSET', X(cid), 'fb', cjson.encode(told))
  if x[1] == '0' then
    local was_ready = call('ZREM', P .. 'ready:' .. x[2], cid) == 1
    call('HSET', X(cid), 'fr', was_ready and '2' or '1')
    if was_ready then make_ready(cid, at) end
  end
elseif x[1] ~= '0' then
  call('HSET', X(cid), 'fr', '0')
  call('HDEL', X(cid), 'ft', 'fb')
  if x[1] == '2' then make_ready(cid, at) end
else
  return 1
end
told.type = ARGV[2] == '1' and 'frozen' or 'thawed'
fact(cjson.encode(told))
return 1
