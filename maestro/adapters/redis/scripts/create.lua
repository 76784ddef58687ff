-- A root is born. ARGV: birth JSON, checkpoint, record. -> ok | exists | name
local b = cjson.decode(ARGV[1])
if call('EXISTS', X(b.cid)) == 1 then return {'exists'} end
if b.name and call('HEXISTS', P .. 'names', b.name) == 1 then return {'name', call('HGET', P .. 'names', b.name)} end
birth(b, ARGV[2], ARGV[3], now_ms())
return {'ok'}
