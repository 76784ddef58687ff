-- One use of a day. ARGV: tool, call id, limit, ms of a day. -> 1 taken (now or before) | 0 none left
local day = math.floor(now_ms() / tonumber(ARGV[4]))
local key, latest = P .. 'tq:' .. ARGV[1], text(day)
if call('HGET', key, 'day') ~= latest then
  call('DEL', key)
  call('HSET', key, 'day', latest)
end
if call('HEXISTS', key, ARGV[2]) == 1 then return 1 end
if call('HLEN', key) - 1 >= tonumber(ARGV[3]) then return 0 end
call('HSET', key, ARGV[2], '1')
return 1
