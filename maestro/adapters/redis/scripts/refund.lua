-- What a call that was charged in full has cost, once. ARGV: cid, call id, actual JSON, mail line of what it gets back if it
-- waits for money. -> ok | known (nothing is charged in full under that call) | unknown | moved
local cid, at = ARGV[1], now_ms()
local status = call('HGET', X(cid), 'st')
if not status then return {'unknown'} end
if status == 'moved' then return {'moved'} end
local corrected = correct(cid, ARGV[2], cjson.decode(ARGV[3]), ARGV[4], at)
tell_crossings(at)
return {corrected and 'ok' or 'known'}
