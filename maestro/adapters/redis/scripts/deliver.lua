-- ARGV: cid, lane, wake key, mail id, line. -> ok | duplicate | unknown | terminal | full
return {deliver(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], now_ms())}
