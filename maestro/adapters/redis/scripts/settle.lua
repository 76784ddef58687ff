-- An answer, once. ARGV: cid, ordinal, call id, outcome JSON, a (answered) or f (failed), charge JSON. -> new | known | gone
local cid, journal = ARGV[1], P .. 'j:' .. ARGV[1]
if call('HGET', X(cid), 'st') == 'moved' then return {'gone'} end -- its journal left with it
local entry = call('HGET', journal, ARGV[2])
if entry and cjson.decode(entry).call_id ~= ARGV[3] then entry = false end
if entry then
  local known = call('HGET', journal, ARGV[2] .. '.a')
  if known then return {'known', entry, known, false} end
end
settle(cid, ARGV[3], cjson.decode(ARGV[6]))
if not entry then return {'gone'} end
call('HDEL', journal, ARGV[2] .. '.f')
call('HSET', journal, ARGV[2] .. '.' .. ARGV[5], ARGV[4])
return {'new', entry}
