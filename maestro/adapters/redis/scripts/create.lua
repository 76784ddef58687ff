-- A root is born. ARGV: birth JSON, checkpoint, record. -> ok | exists | name | void (its start was given up)
-- One that supersedes takes the name over; who had it is ordered to end in the same step.
local b = cjson.decode(ARGV[1])
if call('EXISTS', X(b.cid)) == 1 then return {'exists'} end
if call('ZSCORE', P .. 'seen', 'V ' .. b.cid) then return {'void'} end
local at, owner = now_ms(), b.name and call('HGET', P .. 'names', b.name)
if owner and not b.supersedes then return {'name', owner} end
if owner then
  local o = b.supersedes
  if deliver(owner, o.lane, o.key, o.id, o.line, at) == 'ok' then
    fact((string.gsub(o.fact, '"cid":null', '"cid":"' .. owner .. '"', 1)))
  end
end
birth(b, ARGV[2], ARGV[3], at)
return {'ok'}
