-- One continuation in one look. ARGV: cid. -> false | {...}
local cid = ARGV[1]
local x = call('HMGET', X(cid), 'ep', 'rev', 'tr', 'h', 'wk', 'fr', 'pl', 'lh', 'hd', 'fb', 'pa', 'mv', 'pn', 'ac')
if not x[1] then return false end
return {
  call('GET', P .. 'c:' .. cid), tonumber(x[1]), tonumber(x[2]), tonumber(x[3]), x[4], x[5], x[6],
  call('ZSCORE', P .. 'ready:' .. x[7], cid), call('LLEN', P .. 'm:' .. cid) + call('LLEN', P .. 'k:' .. cid),
  call('HGET', P .. 'err', cid), call('HGETALL', P .. 'b:' .. cid), x[8], x[9],
  x[10], x[11], call('GET', P .. 'brake'), x[12], x[13], x[14],
}
