-- Shared by every script: keys, clock, mailboxes, readiness, money. KEYS[1] is the partition, maestro:<tenant>:{<p>};
-- every other key is made from it and lies in the same slot (docs/decisions/0001-keys.md).
--   c:<cid> checkpoint   x:<cid> control state   l:<cid> log       m:/k:<cid> mail and control mail
--   j:<cid> journal      b:<cid> ledger          e:<cid> entries   f:<cid>:<half-life> ranked set
-- x fields: ep epoch, rev, ce epoch of the last commit, h holder, wk wake keys, pl pool, st status, tr tries,
--   jn children still to join, hd hold, fr frozen (2: ready when thawed), pa parent, cs control mails seen at adoption, lh last holder
local P = KEYS[1] .. ':'
local MAILBOX_LIMIT = 10000
local MAIL_READ_AT_ONCE = 1000
local SIGNAL_LIMIT = 64
local TERMINAL = {completed = true, failed = true, expired = true, cancelled = true, superseded = true}
local BOUNDED = {event = true, message = true}

local function call(...) return redis.call(...) end
local function X(cid) return P .. 'x:' .. cid end

local function now_ms()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000) + (tonumber(call('GET', P .. 'clock') or '0'))
end

local function text(number) return string.format('%.0f', number) end
local function kind_of(key) return string.match(key, '^[^:]+') end

local function wakes(wk, key)
  local kind = kind_of(key)
  if kind == 'start' or kind == 'control' then return true end
  return string.find(wk, ',' .. kind .. ',', 1, true) or string.find(wk, ',' .. key .. ',', 1, true)
end

local function signal(name)
  local list = P .. 'sig:' .. name
  if call('LLEN', list) < SIGNAL_LIMIT then call('RPUSH', list, '1') end
end

local function ready(cid, pool, at)
  if call('ZADD', P .. 'ready:' .. pool, 'NX', at, cid) == 0 then return end
  signal('ready:' .. pool)
  if string.sub(pool, 1, 10) == 'dedicated-' then signal('place') end
end

local function fact(body) call('XADD', P .. 'feed', 'MAXLEN', '~', '100000', '*', 'f', body) end
local function count(name, by) call('HINCRBY', P .. 'counts', name, by or 1) end

-- It stands in the ready set of its pool; a frozen one will when it is thawed, a held one is looked at when let go of.
local function make_ready(cid, at)
  local x = call('HMGET', X(cid), 'st', 'h', 'fr', 'pl')
  if not x[1] or TERMINAL[x[1]] or x[2] ~= '' then return end
  if x[3] == '0' then ready(cid, x[4], at) else call('HSET', X(cid), 'fr', '2') end
end

-- x = {hold, wake keys, children still to join}: does a mail with this key, counted already, end the wait?
local function ends_wait(x, key)
  if x[1] ~= '' and kind_of(key) ~= 'control' then return false end
  return wakes(x[2], key) and not (kind_of(key) == 'child' and tonumber(x[3]) > 0)
end

-- One child less to wait for; counted once, when its mail comes.
local function count_join(cid, x, key)
  if kind_of(key) == 'child' and tonumber(x[3]) > 0 and wakes(x[2], key) then
    x[3] = call('HINCRBY', X(cid), 'jn', -1)
  end
end

-- Let go of by its holder: does anything that came meanwhile wake it? A start mail left unread has woken already, once.
local function look(cid, at)
  if call('LLEN', P .. 'k:' .. cid) > 0 then return make_ready(cid, at) end
  local x, lines = call('HMGET', X(cid), 'hd', 'wk', 'jn'), call('LRANGE', P .. 'm:' .. cid, 0, -1)
  for _, line in ipairs(lines) do count_join(cid, x, string.match(line, '^%S+')) end
  for _, line in ipairs(lines) do
    local key = string.match(line, '^%S+')
    if key ~= 'start' and ends_wait(x, key) then return make_ready(cid, at) end
  end
end

local function put(cid, lane, key, line, at)
  call('RPUSH', P .. (lane == 'control' and 'k:' or 'm:') .. cid, line)
  local x = call('HMGET', X(cid), 'hd', 'wk', 'jn')
  count_join(cid, x, key)
  if ends_wait(x, key) then make_ready(cid, at) end
end

-- ok | duplicate | unknown | terminal | full
local function deliver(cid, lane, key, id, line, at)
  local st = call('HGET', X(cid), 'st')
  if not st then return 'unknown' end
  if id ~= '' and call('ZSCORE', P .. 'seen', cid .. ' ' .. id) then return 'duplicate' end
  if TERMINAL[st] then return 'terminal' end
  if BOUNDED[kind_of(key)] and call('LLEN', P .. 'm:' .. cid) >= MAILBOX_LIMIT then return 'full' end
  if id ~= '' then call('ZADD', P .. 'seen', at, cid .. ' ' .. id) end
  put(cid, lane, key, line, at)
  return 'ok'
end

local function money(cid, resource)
  local m = call('HMGET', P .. 'b:' .. cid, resource .. '.g', resource .. '.r', resource .. '.s', resource .. '.l')
  local used = (tonumber(m[2]) or 0) + (tonumber(m[3]) or 0) + (tonumber(m[4]) or 0)
  return tonumber(m[1]), used
end

-- The first resource of `price` that `cid` cannot pay, as {resource, asked, free}; nil when it can.
local function short_of(cid, price)
  for resource, asked in pairs(price) do
    local granted, used = money(cid, resource)
    if granted and asked > 0 and granted - used < asked then
      return {resource, asked, math.max(0, granted - used)}
    end
  end
end

local function add(cid, part, amounts, sign)
  for resource, amount in pairs(amounts) do
    if amount ~= 0 then call('HINCRBY', P .. 'b:' .. cid, resource .. '.' .. part, sign * amount) end
  end
end

-- A grant limits: a resource that was unlimited becomes limited to what is used plus the grant.
local function grant(cid, amounts)
  for resource, amount in pairs(amounts) do
    local granted, used = money(cid, resource)
    call('HSET', P .. 'b:' .. cid, resource .. '.g', (granted or used) + amount)
  end
end

local function settle(cid, call_id, charge)
  local field = 'R.' .. call_id
  local reserved = call('HGET', P .. 'b:' .. cid, field)
  if not reserved then return false end
  add(cid, 'r', cjson.decode(reserved), -1)
  add(cid, 's', charge or cjson.decode(reserved), 1)
  call('HDEL', P .. 'b:' .. cid, field)
  return true
end

-- Money from outside comes or goes: each ancestor passes on what changed.
local function pass_on(cid, change)
  local ancestor = call('HGET', X(cid), 'pa')
  while ancestor and ancestor ~= '' do
    for resource, by in pairs(change) do
      if money(ancestor, resource) then call('HINCRBY', P .. 'b:' .. ancestor, resource .. '.g', by) end
      call('HINCRBY', P .. 'b:' .. ancestor, resource .. '.l', by)
    end
    ancestor = call('HGET', X(ancestor), 'pa')
  end
end

-- An ended one gives what is free back to its parent; an ended parent passes it on.
local function give_back(cid)
  local parent = call('HGET', X(cid), 'pa')
  if not parent or parent == '' then return end
  local flat = call('HGETALL', P .. 'b:' .. cid)
  for i = 1, #flat, 2 do
    local resource = string.match(flat[i], '^(.*)%.g$')
    if resource then
      local granted, used = money(cid, resource)
      if granted - used > 0 then
        call('HINCRBY', P .. 'b:' .. cid, resource .. '.g', used - granted)
        call('HINCRBY', P .. 'b:' .. parent, resource .. '.l', used - granted)
      end
    end
  end
  if TERMINAL[call('HGET', X(parent), 'st')] then give_back(parent) end
end

local function birth(b, checkpoint, record, at)
  call('SET', P .. 'c:' .. b.cid, checkpoint)
  call('HSET', X(b.cid), 'ep', 0, 'rev', 0, 'ce', 0, 'h', '', 'wk', ',', 'pl', b.pool, 'st', 'pending', 'tr', 0, 'jn', 0,
    'hd', '', 'fr', '0', 'pa', b.parent or '')
  call('RPUSH', P .. 'l:' .. b.cid, text(at) .. ' ' .. record)
  call('ZADD', P .. 'all', at, b.cid)
  call('SADD', P .. 'pools', b.pool)
  if b.name then call('HSET', P .. 'names', b.name, b.cid) end
  grant(b.cid, b.grant)
  count('created')
  count('status:pending')
  fact(b.fact)
  deliver(b.cid, b.lane, b.key, '', b.start, at)
end

local function held_away(cid, holder)
  call('SREM', P .. 'held:' .. holder, cid)
  call('HSET', X(cid), 'h', '')
end

-- The mail that an adopter sees: the oldest 1,000; all of it where what woke it, or its fixed batch, may lie behind them.
local function mail_for(cid, wk)
  local lines = call('LRANGE', P .. 'm:' .. cid, 0, MAIL_READ_AT_ONCE - 1)
  if #lines < MAIL_READ_AT_ONCE then return lines end
  if call('HEXISTS', P .. 'j:' .. cid, 'batch') == 0 then
    for _, line in ipairs(lines) do
      if wakes(wk, string.match(line, '^%S+')) then return lines end
    end
  end
  return call('LRANGE', P .. 'm:' .. cid, 0, -1)
end

local function adopt(pool, holder, lease_ms, at)
  for _ = 1, 16 do
    local popped = call('ZPOPMIN', P .. 'ready:' .. pool)
    if #popped == 0 then return false end
    local cid = popped[1]
    local x = call('HMGET', X(cid), 'st', 'h', 'fr', 'rev', 'wk')
    if x[1] and not TERMINAL[x[1]] and x[2] == '' and x[3] == '0' then
      local epoch = call('HINCRBY', X(cid), 'ep', 1)
      local tries = call('HINCRBY', X(cid), 'tr', 1)
      call('HSET', X(cid), 'h', holder, 'lh', holder, 'cs', call('LLEN', P .. 'k:' .. cid))
      call('ZREM', P .. 'timers', cid .. ' !retry')
      call('SADD', P .. 'held:' .. holder, cid)
      call('ZADD', P .. 'leases', at + lease_ms, holder)
      count('adopted')
      return {
        cid, epoch, tonumber(x[4]), tries, call('GET', P .. 'c:' .. cid), x[5], call('LRANGE', P .. 'k:' .. cid, 0, 99),
        mail_for(cid, x[5]), call('HGETALL', P .. 'j:' .. cid), call('HGETALL', P .. 'b:' .. cid),
        text(at), popped[2], call('HGET', P .. 'err', cid),
      }
    end
  end
  return false
end

-- nil when `epoch` is current and holds it, else the refusal
local function fenced(cid, epoch)
  local x = call('HMGET', X(cid), 'ep', 'h')
  if x[1] == epoch and x[2] ~= '' then return nil end
  count('fenced')
  return {'fenced', tonumber(x[1] or '-1')}
end
