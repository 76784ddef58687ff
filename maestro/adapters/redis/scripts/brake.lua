-- Everything stands still, or goes on: nobody is adopted under the brake but to be killed. ARGV: 1|0, by, reason. -> 1 when
-- that is new
local at, key = now_ms(), P .. 'brake'
local told = {by = ARGV[2], reason = ARGV[3], scope = 'all', at_ms = at}
if ARGV[1] == '1' then
  if call('SET', key, cjson.encode(told), 'NX') == false then return 0 end
else
  if call('DEL', key) == 0 then return 0 end
end
for _, pool in ipairs(call('SMEMBERS', P .. 'pools')) do
  for _, cid in ipairs(call('ZRANGE', P .. 'ready:' .. pool, 0, -1)) do
    if ARGV[1] == '0' then
      signal('ready:' .. pool)
    elseif ordered(cid, 'kill') then
      ready_to_die(cid, pool, at)
    end
  end
end
if ARGV[1] == '0' then signal('place') end
told.type = ARGV[1] == '1' and 'frozen' or 'thawed'
fact(cjson.encode(told))
return 1
