-- The virtual clock moves. ARGV: by_ms. -> now
local at = now_ms() + tonumber(ARGV[1])
call('INCRBY', P .. 'clock', ARGV[1])
call('SET', P .. 'floor', text(at))
signal('timers')
signal('clock')
return text(peek_ms())
