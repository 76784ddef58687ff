-- A new edition of a streamed answer. ARGV: cid, ordinal, call id, why what was told is void, as JSON.
-- -> its number | 0 nobody waits for that call any more
local cid, id = ARGV[1], ARGV[3]
now_ms() -- nothing is written on a store that has lost something
if not is_open(cid, ARGV[2], id) then return 0 end
local t = telling(cid, id)
t.edition = t.edition + 1
if t.chars > 0 then
  t.chars = 0
  tell_piece(cid, id, t, 'r', ARGV[4], 0, 0)
end
keep_telling(cid, id, t)
return t.edition
