-- ARGV: cid, epoch, ordinal, call id, entry, price JSON, batch JSON. -> ok | known | fenced | budget
local cid = ARGV[1]
now_ms() -- nothing is begun on a store that has lost something
local refusal = fenced(cid, ARGV[2])
if refusal then return refusal end
local journal = P .. 'j:' .. cid
local entry = call('HGET', journal, ARGV[3])
local failed = call('HEXISTS', journal, ARGV[3] .. '.f') == 1 -- settled and over: this one takes its place
if entry and not failed then return {'known', entry, call('HGET', journal, ARGV[3] .. '.a'), false} end
local price = cjson.decode(ARGV[6])
local short = short_of(cid, price)
if short then return {'budget', short[1], short[2], short[3]} end
add(cid, 'r', price, 1)
call('HSET', P .. 'b:' .. cid, 'R.' .. ARGV[4], ARGV[6])
call('HSETNX', journal, 'batch', ARGV[7])
call('HDEL', journal, ARGV[3] .. '.f')
call('HSET', journal, ARGV[3], ARGV[5])
return {'ok'}
