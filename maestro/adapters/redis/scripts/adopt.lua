-- ARGV: pool, holder, lease_ms, only this one ('' for any). -> the adopted, or false
return adopt(ARGV[1], ARGV[2], tonumber(ARGV[3]), now_ms(), ARGV[4])
