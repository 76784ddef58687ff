-- What a look at the cluster saw. ARGV: nodes as JSON
call('HSET', P .. 'nodes', 'at', text(now_ms()), 'seen', ARGV[1])
return 1
