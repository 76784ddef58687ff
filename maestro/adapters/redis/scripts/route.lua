-- An event is durable and with all who match. ARGV: event id, dedupe member, event JSON, mail head, mail tail,
--   number of patterns, patterns..., partitions to forward to... -> {duplicate (0|1), matched}
-- An interest in the index: `<cid> <interest>` -> relevance ('' for none), or JSON {r = relevance, f = filters, u = until
-- or 0} where it asks for more.
local at, patterns = now_ms(), tonumber(ARGV[6])
if call('ZSCORE', P .. 'seen', ARGV[2]) then return {1, 0} end

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

local payload, decoded = nil, false
-- Its relevance (-1 for none), where the interest asks for this event; nil where not.
local function asked(wish)
  if string.byte(wish) ~= 123 then return tonumber(wish) or -1 end
  local terms = cjson.decode(wish)
  if terms.u > 0 and terms.u <= at then return nil end
  if not decoded then payload, decoded = cjson.decode(ARGV[3]).payload, true end
  for _, f in ipairs(terms.f) do
    if not holds(f, payload) then return nil end
  end
  return tonumber(terms.r) or -1
end

local matched, order = {}, {}
for i = 7, 6 + patterns do
  local flat = call('HGETALL', P .. 's:' .. ARGV[i])
  for n = 1, #flat, 2 do
    local cid, interest = string.match(flat[n], '^(%S+) (%S+)$')
    local relevance = asked(flat[n + 1])
    local best = matched[cid]
    if relevance and not best then order[#order + 1] = cid end
    if relevance and (not best or relevance < best[2]) then matched[cid] = {interest, relevance} end
  end
end

-- from here on only writes
call('ZADD', P .. 'seen', at, ARGV[2])
call('XADD', P .. 'events', 'MAXLEN', '~', '100000', '*', 'e', ARGV[3])
count('published')
local queued = false
local function queue(cid, interest, relevance)
  call('XADD', P .. 'project', '*', 'c', cid, 's', 'event', 'i', interest, 'r', relevance, 'p', ARGV[3])
  queued = true
end
for _, cid in ipairs(order) do
  local interest, relevance = matched[cid][1], matched[cid][2]
  if call('HEXISTS', X(cid), 'mv') == 1 then
    letter('moved', cid, 'event', ARGV[1], ARGV[3], interest) -- its wishes stay, so that nothing it asked for vanishes unseen
    count('event_dead')
  elseif relevance >= 0 then
    queue(cid, interest, tostring(relevance))
  elseif not may_wake(cid, interest, at) then
    queue(cid, interest, '') -- into the field, and no wake
    count('event_capped')
  else
    local key = 'event:' .. interest
    local line = key .. ' - - ' .. ARGV[4] .. interest .. ARGV[5]
    local outcome = deliver(cid, 'mail', key, ARGV[1], line, at)
    if outcome == 'full' then letter('mailbox_full', cid, 'event', ARGV[1], ARGV[3], interest) end
    if outcome ~= 'ok' then count('event_dead') end
  end
end
if queued then signal('project') end
for i = 7 + patterns, #ARGV do
  call('XADD', P .. 'outbox', '*', 'i', ARGV[1], 'k', 'event', 't', ARGV[i], 'p', ARGV[3])
  signal('relay')
end
count('matched', #order)
return {0, #order}
