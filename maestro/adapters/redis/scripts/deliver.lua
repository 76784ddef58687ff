-- ARGV: cid, lane, wake key, mail id, line; from a continuation also sender, number, sent at. -> as deliver
local s = ARGV[6] and {ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])}
return {deliver(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], now_ms(), s)}
