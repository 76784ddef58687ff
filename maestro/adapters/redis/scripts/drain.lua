-- ARGV: 1|0, node, by, reason. -> 1, or 0 when it was so before
local drains, node, at = P .. 'drains', ARGV[2], now_ms()
local told = {node = node, at_ms = at}
if ARGV[1] == '1' then
  told.by, told.reason = ARGV[3], ARGV[4]
  if call('HSETNX', drains, node, cjson.encode(told)) == 0 then return 0 end
  told.type = 'node_draining'
else
  if call('HDEL', drains, node) == 0 then return 0 end
  told.type = 'node_undrained'
end
fact(cjson.encode(told))
signal('nodes')
return 1
