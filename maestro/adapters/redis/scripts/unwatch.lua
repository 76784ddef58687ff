-- ARGV: target, name.
return call('HDEL', watches(ARGV[1]), ARGV[2])
