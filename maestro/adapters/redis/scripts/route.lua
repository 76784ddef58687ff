-- Events are durable and with all who match, one after the other. ARGV: number of partitions to forward to, partitions...,
--   then for each event its id, dedupe member, JSON, mail up to the interest, mail between interest and event, number of
--   patterns, patterns...
-- -> {duplicate (0|1), matched} for each; fewer than were given where so many were told that others have to have a turn
-- An interest in the index: `<cid> <interest>` -> relevance ('' for none), or JSON {r = relevance, f = filters, u = until
-- or 0} where it asks for more.

local at, TOLD_AT_ONCE = now_ms(), 256

-- maestro.continuation.predicate in Lua
local function same(value, wanted) return type(value) == type(wanted) and value == wanted end

local function contains(value, wanted)
  if type(value) == 'table' then
    for _, member in ipairs(value) do
      if same(member, wanted) then return true end
    end
    return false
  end
  return type(value) == 'string' and type(wanted) == 'string'
    and string.find(string.lower(value), string.lower(wanted), 1, true) ~= nil
end

local function holds(f, value)
  for key in string.gmatch(f.field, '[^.]+') do
    if type(value) ~= 'table' then return false end
    value = value[key]
    if value == nil then return false end
  end
  if f.op == '==' then return same(value, f.value) end
  if f.op == 'contains' then return contains(value, f.value) end
  if f.op == 'in' then
    for _, wanted in ipairs(f.values) do
      if same(value, wanted) then return true end
    end
    return false
  end
  if type(value) ~= 'number' then return false end
  if f.op == '<' then return value < f.value end
  if f.op == '<=' then return value <= f.value end
  if f.op == '>' then return value > f.value end
  return value >= f.value
end

-- Its relevance (-1 for none), where the interest asks for this event; nil where not.
local function asked(wish, event)
  if string.byte(wish) ~= 123 then return tonumber(wish) or -1 end
  local terms = cjson.decode(wish)
  if terms.u > 0 and terms.u <= at then return nil end
  if not event.decoded then event.payload, event.decoded = cjson.decode(event.json).payload, true end
  for _, f in ipairs(terms.f) do
    if not holds(f, event.payload) then return nil end
  end
  return tonumber(terms.r) or -1
end

local index = {} -- nobody subscribes while this runs
local function wishes(pattern)
  index[pattern] = index[pattern] or call('HGETALL', P .. 's:' .. pattern)
  return index[pattern]
end

-- cid -> {interest, relevance}, and the cids in their order
local function matching(event, first, patterns)
  local matched, order = {}, {}
  for i = first, first + patterns - 1 do
    local flat = wishes(ARGV[i])
    for n = 1, #flat, 2 do
      local cid, interest = string.match(flat[n], '^(%S+) (%S+)$')
      local relevance = asked(flat[n + 1], event)
      local best = matched[cid]
      if relevance and not best then order[#order + 1] = cid end
      if relevance and (not best or relevance < best[2]) then matched[cid] = {interest, relevance} end
    end
  end
  return matched, order
end

local queued = false
local function queue(cid, interest, relevance, event)
  call('XADD', P .. 'project', '*', 'c', cid, 's', 'event', 'i', interest, 'r', relevance, 'p', event.json,
    'n', text(event.number), 'a', text(at))
  queued = true
end

local receivers = {} -- where it has moved to, and its wakes a day: neither changes while this runs
local function receiver(cid)
  receivers[cid] = receivers[cid] or call('HMGET', X(cid), 'mv', 'wl')
  return receivers[cid]
end

local function tell(cid, interest, relevance, event)
  local x = receiver(cid)
  if x[1] then
    letter('moved', cid, 'event', event.id, event.json, interest) -- its wishes stay, so that nothing it asked for vanishes unseen
    count('event_dead')
  elseif relevance >= 0 then
    queue(cid, interest, tostring(relevance), event)
  elseif x[2] and x[2] ~= ',' and not may_wake(cid, interest, at) then
    queue(cid, interest, '', event) -- into the field, and no wake
    count('event_capped')
  else
    local key = 'event:' .. interest
    local line = key .. ' - - ' .. event.head .. interest .. event.tail .. event.json .. '}'
    local outcome = deliver(cid, 'mail', key, event.id, line, at)
    if outcome == 'full' then letter('mailbox_full', cid, 'event', event.id, event.json, interest) end
    if outcome ~= 'ok' then count('event_dead') end
  end
end

local forwards, routed, told, published = tonumber(ARGV[1]), {}, 0, 0
local before = tonumber(call('HGET', P .. 'counts', 'published')) or 0
local n = 2 + forwards
while n <= #ARGV and told < TOLD_AT_ONCE do
  local event = {id = ARGV[n], json = ARGV[n + 2], head = ARGV[n + 3], tail = ARGV[n + 4]}
  local member, patterns = ARGV[n + 1], tonumber(ARGV[n + 5])
  if call('ZSCORE', P .. 'seen', member) then
    routed[#routed + 1] = {1, 0}
  else
    local matched, order = matching(event, n + 6, patterns)
    -- from here on only writes, until the next event
    call('ZADD', P .. 'seen', at, member)
    call('XADD', P .. 'events', 'MAXLEN', '~', '100000', '*', 'e', event.json)
    event.number = before + published + 1
    for _, cid in ipairs(order) do tell(cid, matched[cid][1], matched[cid][2], event) end
    for i = 2, 1 + forwards do
      call('XADD', P .. 'outbox', '*', 'i', event.id, 'k', 'event', 't', ARGV[i], 'p', event.json)
    end
    published, told = published + 1, told + #order
    routed[#routed + 1] = {0, #order}
  end
  n = n + 6 + patterns
end
if queued then signal('project') end
if published > 0 then count('published', published) end
if told > 0 then count('matched', told) end
if forwards > 0 and published > 0 then signal('relay') end
return routed
