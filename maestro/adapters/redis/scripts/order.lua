-- An order is in the mailbox, and in the feed. ARGV: cid, lane, wake key, mail id, line, fact. -> as deliver
local outcome = deliver(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], now_ms())
if outcome == 'ok' then fact(ARGV[6]) end
return {outcome}
