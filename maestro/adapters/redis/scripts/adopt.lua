-- ARGV: pool, holder, lease_ms. -> the adopted, or false
return adopt(ARGV[1], ARGV[2], tonumber(ARGV[3]), now_ms())
