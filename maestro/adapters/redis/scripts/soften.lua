-- Soft caps: where the borders are counted from. ARGV: cid, caps JSON, by. -> ok, ledger | unknown | terminal
local cid, caps, at = ARGV[1], cjson.decode(ARGV[2]), now_ms()
local status = call('HGET', X(cid), 'st')
if not status then return {'unknown'} end
if TERMINAL[status] then return {'terminal', status} end
for resource, cap in pairs(caps) do call('HSET', P .. 'b:' .. cid, resource .. '.c', text(cap)) end
TOUCHED[cid] = true
fact(cjson.encode({type = 'soft_capped', cid = cid, soft_cap = caps, by = ARGV[3], at_ms = at}))
tell_crossings(at)
return {'ok', call('HGETALL', P .. 'b:' .. cid)}
