-- The audit log, a list in the first partition. ARGV: how many lines it must have, then those that follow them; with
-- none it is only looked at. -> 1 when they were written, how many there were, the last of those, now
local key = P .. 'audit'
local at = ARGV[2] and now_ms() or peek_ms()
local many, last = call('LLEN', key), call('LINDEX', key, -1)
local mine = ARGV[2] and tonumber(ARGV[1]) == many
if mine then
  for i = 2, #ARGV do call('RPUSH', key, ARGV[i]) end
end
return {mine and 1 or 0, many, last or '', text(at)}
