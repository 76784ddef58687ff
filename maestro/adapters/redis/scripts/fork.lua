-- A fork is born with money of its origin. ARGV: origin, birth JSON, checkpoint, record. -> ok | exists | unknown | budget
local origin, b = ARGV[1], cjson.decode(ARGV[2])
if call('EXISTS', X(b.cid)) == 1 then return {'exists'} end
if call('EXISTS', X(origin)) == 0 then return {'unknown'} end
local short, change = short_of(origin, b.grant), {}
if short then return {'budget', short[1], short[2], short[3]} end
for resource, amount in pairs(b.grant) do
  if money(origin, resource) then change[resource] = -amount end
end
add(origin, 'g', change, 1)
pass_on(origin, change)
birth(b, ARGV[3], ARGV[4], now_ms())
return {'ok'}
