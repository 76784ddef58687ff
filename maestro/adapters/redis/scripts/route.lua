-- An event is durable and with all who match. ARGV: event id, dedupe member, event JSON, mail head, mail tail,
--   number of patterns, patterns..., partitions to forward to... -> {duplicate (0|1), matched}
local at, patterns = now_ms(), tonumber(ARGV[6])
if call('ZSCORE', P .. 'seen', ARGV[2]) then return {1, 0} end
call('ZADD', P .. 'seen', at, ARGV[2])
call('XADD', P .. 'events', 'MAXLEN', '~', '100000', '*', 'e', ARGV[3])
count('published')

local matched, order = {}, {}
for i = 7, 6 + patterns do
  local flat = call('HGETALL', P .. 's:' .. ARGV[i])
  for n = 1, #flat, 2 do
    local cid, interest = string.match(flat[n], '^(%S+) (%S+)$')
    local relevance = tonumber(flat[n + 1]) or -1
    local best = matched[cid]
    if not best then order[#order + 1] = cid end
    if not best or relevance < best[2] then matched[cid] = {interest, relevance} end
  end
end
for _, cid in ipairs(order) do
  local interest, relevance = matched[cid][1], matched[cid][2]
  if call('HEXISTS', X(cid), 'mv') == 1 then
    letter('moved', cid, 'event', ARGV[1], ARGV[3]) -- its wishes stay, so that nothing it asked for vanishes unseen
  elseif relevance >= 0 then
    call('XADD', P .. 'project', '*', 'c', cid, 's', 'event', 'i', interest, 'r', tostring(relevance), 'p', ARGV[3])
  else
    local key = 'event:' .. interest
    local line = key .. ' - - ' .. ARGV[4] .. interest .. ARGV[5]
    local outcome = deliver(cid, 'mail', key, ARGV[1], line, at)
    if outcome == 'full' then
      letter('mailbox_full', cid, 'event', ARGV[1], ARGV[3])
    end
  end
end
if #order > 0 then signal('project') end
for i = 7 + patterns, #ARGV do
  call('XADD', P .. 'outbox', '*', 'i', ARGV[1], 'k', 'event', 't', ARGV[i], 'p', ARGV[3])
  signal('relay')
end
count('matched', #order)
return {0, #order}
