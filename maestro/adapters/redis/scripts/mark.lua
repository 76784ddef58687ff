-- How far a field has come. ARGV: cid -> {events told, complete up to, unscored, how long the oldest has waited,
--   events that it was looked through ('' where nobody looks)}
local told = tonumber(call('HGET', P .. 'counts', 'published')) or 0
local complete, waited = told, 0
local first = call('XRANGE', P .. 'project', '-', '+', 'COUNT', 1)[1]
if first then
  local row = {}
  for i = 1, #first[2], 2 do row[first[2][i]] = first[2][i + 1] end
  complete = math.min(told, (tonumber(row.n) or 1) - 1)
  waited = math.max(0, peek_ms() - (tonumber(row.a) or peek_ms()))
end
local looked = ''
if call('HEXISTS', P .. 'looked', '*') == 1 then
  looked = string.match(call('HGET', P .. 'looked', ARGV[1]) or '0', '^%d+')
end
return {text(told), text(complete), call('XLEN', P .. 'project'), text(waited), looked}
