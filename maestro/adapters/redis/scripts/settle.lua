-- An answer, once. ARGV: cid, ordinal, call id, outcome JSON, a (answered) or f (failed), charge JSON, mail line of what it
-- gets back if it waits for money, what the fact tells beside JSON. -> new | known | gone
local cid, journal = ARGV[1], P .. 'j:' .. ARGV[1]
if call('HGET', X(cid), 'st') == 'moved' then return {'gone'} end -- its journal left with it
local entry = call('HGET', journal, ARGV[2])
if entry and cjson.decode(entry).call_id ~= ARGV[3] then entry = false end
if entry then
  local known = call('HGET', journal, ARGV[2] .. '.a')
  if known then return {'known', entry, known, false} end
end
local charge, at = cjson.decode(ARGV[6]), now_ms()
local told = cjson.decode(ARGV[8])
told.ordinal, told.outcome = tonumber(ARGV[2]), ARGV[5] == 'a' and 'answered' or 'failed'
if not settle(cid, ARGV[3], charge, told, at) then correct(cid, ARGV[3], charge, ARGV[7], at, cjson.decode(ARGV[8])) end
tell_crossings(at)
if not entry then return {'gone'} end
drop_pieces(cid, ARGV[3])
call('HDEL', journal, ARGV[2] .. '.f')
call('HSET', journal, ARGV[2] .. '.' .. ARGV[5], ARGV[4])
return {'new', entry}
