-- Scored projections enter fields, and wake. ARGV: per item position, cid, entry id, entry, half-life, rank key,
--   wake key ('' for none), mail id, line. -> how many were new
local at, n = now_ms(), 0
for i = 1, #ARGV, 9 do
  local cid = ARGV[i + 1]
  local waiting = call('XRANGE', P .. 'project', ARGV[i], ARGV[i])[1]
  local of_event, here = waiting and waiting[2][4] == 'event', (call('HGET', X(cid), 'st') or 'moved') ~= 'moved'
  if waiting then call('XDEL', P .. 'project', ARGV[i]) end
  if of_event and not here then count('event_dead') end
  if waiting and here then
    shelve(cid, ARGV[i + 4], ARGV[i + 5], ARGV[i + 2], ARGV[i + 3], at)
    local interest = string.match(ARGV[i + 6], '^event:(.*)$')
    if ARGV[i + 6] ~= '' and (not interest or may_wake(cid, interest, at)) then
      local outcome = deliver_or_bury(cid, 'mail', ARGV[i + 6], ARGV[i + 7], ARGV[i + 8], at)
      if of_event and outcome == 'duplicate' then count('event_applied') end
    elseif of_event then
      count('event_fielded')
      if interest then count('event_capped') end
    end
    n = n + 1
  end
end
return n
