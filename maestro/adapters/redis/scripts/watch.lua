-- ARGV: target, watcher, name, kind. -> 1, or 0 where nobody of the target's id lives
return watch(ARGV[1], ARGV[2], ARGV[3], ARGV[4]) and 0 or 1
