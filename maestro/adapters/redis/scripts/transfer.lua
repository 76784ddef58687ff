-- Money goes from one of a family to another, once per key. ARGV: from, to, amount JSON, key, by, mail line.
-- -> ok | unknown | terminal | strangers | unlimited | budget
local from, to, amount = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local member = 'B ' .. from .. ' transfer ' .. ARGV[4]
for _, cid in ipairs({from, to}) do
  if call('EXISTS', X(cid)) == 0 then return {'unknown', cid} end
end
local function ledgers() return {'ok', call('HGETALL', P .. 'b:' .. from), call('HGETALL', P .. 'b:' .. to)} end
if call('ZSCORE', P .. 'seen', member) then return ledgers() end
for _, cid in ipairs({from, to}) do
  if TERMINAL[call('HGET', X(cid), 'st')] then return {'terminal', cid} end
end
local function root_of(cid)
  local parent = call('HGET', X(cid), 'pa')
  return parent and parent ~= '' and root_of(parent) or cid
end
if root_of(from) ~= root_of(to) then return {'strangers'} end
local less = {}
for resource, by in pairs(amount) do
  if not money(from, resource) then return {'unlimited', from, resource} end
  if not money(to, resource) then return {'unlimited', to, resource} end
  less[resource] = -by
end
local short = short_of(from, amount)
if short then return {'budget', short[1], short[2], short[3]} end
local at = now_ms()
call('ZADD', P .. 'seen', at, member)
add(from, 'g', less, 1)
pass_on(from, less)
add(to, 'g', amount, 1)
pass_on(to, amount)
fact(cjson.encode({type = 'transferred', cid = from, to = to, amount = amount, by = ARGV[5], key = ARGV[4], at_ms = at}))
tell_granted(to, ARGV[6], at)
tell_crossings(at)
return ledgers()
