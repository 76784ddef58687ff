-- A fork is born with money of its origin. ARGV: origin, birth JSON, checkpoint, record, the rev at which
-- unread mail and field go along (-1: they do not), key ('' for none), half-lives... -> {ok | exists, its id} | unknown | budget | moved
local origin, b, once = ARGV[1], cjson.decode(ARGV[2]), 'fork ' .. ARGV[1] .. ' ' .. ARGV[6]
local known = ARGV[6] ~= '' and call('HGET', P .. 'once', once)
if known then return {'exists', known} end
if call('EXISTS', X(b.cid)) == 1 then return {'exists', b.cid} end
if call('EXISTS', X(origin)) == 0 then return {'unknown'} end
if call('HGET', X(origin), 'st') == 'moved' then return {'gone'} end
local rev = call('HGET', X(origin), 'rev')
if ARGV[5] ~= '-1' and ARGV[5] ~= rev then return {'moved', tonumber(rev)} end
local short, change = short_of(origin, b.grant), {}
if short then return {'budget', short[1], short[2], short[3]} end
for resource, amount in pairs(b.grant) do
  if money(origin, resource) then change[resource] = -amount end
end
if ARGV[6] ~= '' then call('HSET', P .. 'once', once, b.cid) end
add(origin, 'g', change, 1)
pass_on(origin, change)
local at = now_ms()
b.account = call('HGET', X(origin), 'ac') or nil
birth(b, ARGV[3], ARGV[4], at)
if ARGV[5] ~= '-1' then
  for _, line in ipairs(call('LRANGE', P .. 'm:' .. origin, 0, -1)) do
    local key = key_of(line)
    if key ~= 'start' then put(b.cid, 'mail', key, line, at) end
  end
  copy_field(origin, b.cid, {unpack(ARGV, 7)})
end
fact(cjson.encode({type = 'forked', cid = b.cid, from = origin, grant = b.grant}))
tell_crossings(at)
return {'ok', b.cid}
