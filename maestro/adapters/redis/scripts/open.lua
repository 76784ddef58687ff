-- A process opens the store; after a quiet time it bears witness to its clock. ARGV: the id that a new one gets, its own clock.
call('SET', P .. 'who', ARGV[1] .. ' 0', 'NX')
local own_ms, floor = tonumber(ARGV[2]), tonumber(call('GET', P .. 'floor')) or 0
if clock_ms(false, own_ms) > floor + LEAP_MS then clock_ms(true, own_ms) end
return call('GET', P .. 'who')
