-- More of a streamed answer. ARGV: cid, ordinal, call id, edition, how many and how many bytes are kept,
-- then text as JSON, its characters, its bytes of each piece. -> 1 | 0 another edition is the newest, or the call is over
local cid, id = ARGV[1], ARGV[3]
now_ms() -- nothing is written on a store that has lost something
if not is_open(cid, ARGV[2], id) then return 0 end
local t = telling(cid, id)
if t.edition ~= tonumber(ARGV[4]) or t.edition == 0 then return 0 end
for i = 7, #ARGV, 3 do tell_piece(cid, id, t, 't', ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])) end
local list = pieces_of(cid, id)
local count = call('LLEN', list)
while count > 1 and (count > tonumber(ARGV[5]) or t.bytes > tonumber(ARGV[6])) do
  t.bytes = t.bytes - tonumber(string.match(call('LPOP', list), '^%d+ %d+ %d+ (%d+) '))
  count = count - 1
end
keep_telling(cid, id, t)
return 1
