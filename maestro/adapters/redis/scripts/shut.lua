-- Nobody writes until an incarnation is begun.
local who = call('GET', P .. 'who')
if who and not string.find(who, ' closed', 1, true) then call('SET', P .. 'who', who .. ' closed') end
return who
