-- A call is over. ARGV: call id.
call('ZREM', P .. 'calls:due', ARGV[1])
call('ZREM', P .. 'calls:taken', ARGV[1])
return call('HDEL', P .. 'calls', ARGV[1])
