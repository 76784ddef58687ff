-- The virtual clock moves. ARGV: by_ms. -> now
call('INCRBY', P .. 'clock', ARGV[1])
signal('timers')
signal('clock')
return text(now_ms())
