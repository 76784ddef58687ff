-- What pagers are told. ARGV: span_ms (0 asks only), then targets. -> whether the brake is on, then the ms that each is
-- left alone
local key, at, span = P .. 'cool', now_ms(), tonumber(ARGV[1])
local told = {call('EXISTS', P .. 'brake')}
call('ZREMRANGEBYSCORE', key, '-inf', text(at))
for i = 2, #ARGV do
  if span > 0 then call('ZADD', key, 'GT', text(at + span), ARGV[i]) end
  told[i] = (tonumber(call('ZSCORE', key, ARGV[i])) or at) - at
end
return told
