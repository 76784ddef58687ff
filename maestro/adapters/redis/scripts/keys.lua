-- Shared by every script: keys, readiness. KEYS[1] is the partition, maestro:<tenant>:{<p>};
-- every other key is made from it and lies in the same slot (docs/decisions/0001-keys.md).
--   c:<cid> checkpoint   x:<cid> control state   l:<cid> log       m:/k:<cid> mail and control mail
--   q:<cid> the last number of each sender outside the partition
--   j:<cid> journal      b:<cid> ledger          e:<cid> entries   f:<cid>:<half-life> ranked set   o:<hash> block
--   w:<cid> who is told of its end    home:<name> who listens to its own name    rs:<cid> what it owes its account
--   alarms alerts that people are not told of   ps:/p: answers while they are written, see pieces.lua
--   degraded entries that wait for the engine that was away   asked fields that want to be looked through for what is near
--   looked <cid> -> the events told by then, and what is kept of that look; `*` while anybody looks
--   reg:<kind>, regend:<kind> notes of the edge, see register.lua
--   calls, calls:due, calls:taken: placed model calls by call id, see maestro/pager/placed.py
--   acct:<path> an account, accts all of them, slices what they have lent and nobody has confirmed, owing who owes
-- x fields: ep epoch, rev, ce epoch of the last commit, h holder, wk wake keys, pl pool, st status, tr tries,
--   jn children still to join, hd hold, fr frozen (2: ready when thawed), ft frozen with its tree, fb who froze it,
--   pa parent, ac account, cs/ms control and other mails seen at adoption,
--   lh last holder, mb bytes of mail, nx when the next of them expires, ug: urgent ones may lie far behind, wn windows of interests, wl wakes a day of interests, wu:<interest> day and wakes, cn crossings told of, mv where it has moved to, pn pin, ar by which export it came
local P = KEYS[1] .. ':'
local SIGNAL_LIMIT = 64
local TERMINAL = {completed = true, failed = true, expired = true, cancelled = true, superseded = true,
  moved = true} -- moved: gone to another store, see depart.lua
local WANTS_CODE = {needs_migration = true, unservable = true} -- holds that are tried again at every adoption

local function call(...) return redis.call(...) end
local function X(cid) return P .. 'x:' .. cid end

local function text(number) return string.format('%.0f', number) end
-- The time of a commit, with two digits that show when a byte of it was changed: no seal of ours covers a time of Redis.
local function stamp(at) return text(at) .. '.' .. text(math.fmod(at, 97)) end
local function kind_of(key) return string.match(key, '^[^:]+') end

local function wakes(wk, key)
  local kind = kind_of(key)
  if kind == 'start' or kind == 'control' or kind == 'exit' then return true end
  return string.find(wk, ',' .. kind .. ',', 1, true) or string.find(wk, ',' .. key .. ',', 1, true)
end

local function signal(name)
  local list = P .. 'sig:' .. name
  if call('LLEN', list) < SIGNAL_LIMIT then call('RPUSH', list, '1') end
end

-- Who listens to its own name, see maestro/tick/linger.py: home:<name> holds `<until> <pool>`.
local HUSHED_AFTER_MS = 60000 -- what rouses one that will never listen again does not lie about for ever
local function own_name(holder) return string.match(holder, '^[^~]*') end

local function leave_home(name)
  local pool = string.match(call('GET', P .. 'home:' .. name) or '', ' (.*)$')
  call('DEL', P .. 'home:' .. name)
  local roused = call('DEL', P .. 'sig:ready:' .. name) == 1
  if roused and pool and call('EXISTS', P .. 'ready:' .. pool) == 1 then signal('ready:' .. pool) end
end

local function be_at_home(name, pool, listens_ms, at)
  call('SET', P .. 'home:' .. name, text(at + listens_ms) .. ' ' .. pool, 'PX', listens_ms + HUSHED_AFTER_MS)
end

-- Roused is who held it last, while that one listens to its own name; else anybody of the pool.
local function rouse(cid, pool, at)
  local last = own_name(call('HGET', X(cid), 'lh') or '')
  local until_ms, serves = string.match(last ~= '' and call('GET', P .. 'home:' .. last) or '', '^(%d+) (.*)$')
  if serves ~= pool or tonumber(until_ms) <= at then return signal('ready:' .. pool) end
  signal('ready:' .. last)
  call('PEXPIRE', P .. 'sig:ready:' .. last, HUSHED_AFTER_MS)
end

local function ready(cid, pool, at)
  if call('ZADD', P .. 'ready:' .. pool, 'NX', at, cid) == 0 then return end
  rouse(cid, pool, at)
  if string.sub(pool, 1, 10) == 'dedicated-' then signal('place') end
end

local function fact(body) call('XADD', P .. 'feed', 'MAXLEN', '~', '100000', '*', 'f', body) end
local function count(name, by) call('HINCRBY', P .. 'counts', name, by or 1) end

-- Does unread control mail, from the n-th on, hold such an order?
local function ordered(cid, order, n)
  for _, line in ipairs(call('LRANGE', P .. 'k:' .. cid, n or 0, -1)) do
    if string.find(line, 'control:' .. order .. ' ', 1, true) == 1 then return true end
  end
  return false
end

-- A kill waits for no thaw: who is to be killed stands before all others, at its time negated, and may be adopted though
-- it, or everything, is frozen.
local function ready_to_die(cid, pool, at)
  call('ZADD', P .. 'ready:' .. pool, -at, cid)
  signal('ready:' .. pool)
  if string.sub(pool, 1, 10) == 'dedicated-' then signal('place') end
end

-- It waits in another pool from now on, at its old place in the order.
local function repool(cid, pool)
  local was = call('HGET', X(cid), 'pl')
  if was == pool then return end
  local since = call('ZSCORE', P .. 'ready:' .. was, cid)
  call('HSET', X(cid), 'pl', pool)
  call('SADD', P .. 'pools', pool)
  if string.sub(was, 1, 10) == 'dedicated-' then call('SREM', P .. 'pools', was) end
  if not since then return end
  call('ZREM', P .. 'ready:' .. was, cid)
  ready(cid, pool, since)
end

-- A pin is `<1 until unpinned, 0 for one wake> <node> <the pool it belongs to>`.
local function home_of(pin) return string.match(pin, '^%d %S+ (.*)$') end

local function unpin(cid)
  local pin = call('HGET', X(cid), 'pn')
  if not pin then return false end
  call('HDEL', X(cid), 'pn')
  repool(cid, home_of(pin))
  return true
end

-- It stands in the ready set of its pool; a frozen one will when it is thawed, a held one is looked at when let go of.
local function make_ready(cid, at, x)
  x = x or call('HMGET', X(cid), 'st', 'h', 'fr', 'pl')
  if not x[1] or TERMINAL[x[1]] or x[2] ~= '' then return end
  if (x[3] ~= '0' or call('EXISTS', P .. 'brake') == 1) and ordered(cid, 'kill') then
    ready_to_die(cid, x[4], at)
  elseif x[3] == '0' then
    ready(cid, x[4], at)
  else
    call('HSET', X(cid), 'fr', '2')
  end
end

