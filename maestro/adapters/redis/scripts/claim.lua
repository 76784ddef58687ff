-- A name has one holder. ARGV: verb, name, epoch, lease_ms, holder, site. -> granted, epoch, holder, site, until, now
local key, at = P .. 'claim:' .. ARGV[2], now_ms()
local found = call('HMGET', key, 'ep', 'h', 's', 'u')
local epoch, holder, site, due = tonumber(found[1]) or 0, found[2] or '', found[3] or '', tonumber(found[4]) or 0
local granted
if ARGV[1] == 'take' then
  granted = due <= at or site == ARGV[6]
  if granted then
    epoch, holder, site, due = next_epoch(epoch), ARGV[5], ARGV[6], at + tonumber(ARGV[4])
  end
else -- renew; a lease of 0 lets go
  granted = epoch == tonumber(ARGV[3])
  if granted then due = at + tonumber(ARGV[4]) end
end
if granted then call('HSET', key, 'ep', text(epoch), 'h', holder, 's', site, 'u', text(due)) end
return {granted and 1 or 0, epoch, holder, site, text(due), text(at)}
