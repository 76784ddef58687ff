-- A field was looked through. ARGV: cid, events told by then, what is kept of the look, then per entry half-life, rank key,
--   id, entry -> how many were new; an entry that is there already stays as it is
local cid, at, n = ARGV[1], now_ms(), 0
local wish, status = call('ZSCORE', P .. 'asked', cid), call('HGET', X(cid), 'st')
if not status or TERMINAL[status] then
  call('ZREM', P .. 'asked', cid)
  call('HDEL', P .. 'looked', cid)
  return 0
end
if wish and tonumber(wish) <= tonumber(ARGV[2]) then call('ZREM', P .. 'asked', cid) end
call('HSET', P .. 'looked', cid, ARGV[2] .. ' ' .. ARGV[3])
for i = 4, #ARGV, 4 do
  if call('HEXISTS', P .. 'e:' .. cid, ARGV[i + 2]) == 0 then
    shelve(cid, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], at)
    n = n + 1
  end
end
return n
