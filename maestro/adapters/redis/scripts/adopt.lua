-- ARGV: pool, holder, lease_ms, only this one ('' for any), what it says of itself. -> the adopted, or false
return adopt(ARGV[1], ARGV[2], tonumber(ARGV[3]), now_ms(), ARGV[4], ARGV[5])
