-- A dead letter gets another chance. ARGV: letter, cid ('' for none), wake key, mail id, line
--   -> ok | gone | unknown | terminal | full
local dead, at = P .. 'dead', now_ms()
if not call('LPOS', dead, ARGV[1]) then return 'gone' end
local told = cjson.decode(ARGV[1])
if ARGV[2] ~= '' then
  local outcome = deliver(ARGV[2], 'mail', ARGV[3], ARGV[4], ARGV[5], at)
  if outcome ~= 'ok' then return outcome end
  if kind_of(ARGV[3]) == 'event' then count('event_dead', -1) end
end
call('LREM', dead, 1, ARGV[1])
count('redelivered')
fact(cjson.encode({type = 'redelivered', cid = told.to, id = told.id, cause = told.cause, at_ms = at}))
return 'ok'
