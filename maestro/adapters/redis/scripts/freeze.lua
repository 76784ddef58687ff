-- ARGV: cid, 1|0. -> 1, or 0 when nobody has that id
local cid = ARGV[1]
local x = call('HMGET', X(cid), 'fr', 'pl')
if not x[1] then return 0 end
if ARGV[2] == '1' then
  if x[1] == '0' then
    local was_ready = call('ZREM', P .. 'ready:' .. x[2], cid)
    call('HSET', X(cid), 'fr', was_ready == 1 and '2' or '1')
  end
elseif x[1] ~= '0' then
  call('HSET', X(cid), 'fr', '0')
  if x[1] == '2' then make_ready(cid, now_ms()) end
end
return 1
