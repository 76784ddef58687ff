-- What was owed is paid. ARGV: cid, its number.
local place = P .. 'rs:' .. ARGV[1]
local open = call('HGET', place, '#open')
if open and cjson.decode(open).number == tonumber(ARGV[2]) then call('HDEL', place, '#open') end
return 1
