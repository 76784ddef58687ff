-- Shared by every script: money, births, adoption, fencing.
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

local TOUCHED = {} -- whose money this step has moved

local function add(cid, part, amounts, sign)
  for resource, amount in pairs(amounts) do
    if amount ~= 0 then
      TOUCHED[cid] = true
      call('HINCRBY', P .. 'b:' .. cid, resource .. '.' .. part, sign * amount)
    end
  end
end

-- A grant limits: a resource that was unlimited becomes limited to what is used plus the grant.
local function grant(cid, amounts)
  for resource, amount in pairs(amounts) do
    local granted, used = money(cid, resource)
    call('HSET', P .. 'b:' .. cid, resource .. '.g', (granted or used) + amount)
  end
end

-- What is spent is a fact: all of them together, and what was refunded, are what the ledgers say.
local function tell_charge(cid, told, charge, at)
  told.type, told.cid, told.charge, told.at_ms = 'budget_charge', cid, charge, at
  told.rev = tonumber(told.rev or call('HGET', X(cid), 'rev') + 1)
  fact(cjson.encode(told))
end

local function settle(cid, call_id, charge, told, at)
  local field = 'R.' .. call_id
  local reserved = call('HGET', P .. 'b:' .. cid, field)
  if not reserved then return false end
  add(cid, 'r', cjson.decode(reserved), -1)
  add(cid, 's', charge or cjson.decode(reserved), 1)
  call('HDEL', P .. 'b:' .. cid, field)
  if not charge then call('HSET', P .. 'b:' .. cid, 'U.' .. call_id, reserved) end -- until the provider tells
  told.call_id = call_id
  tell_charge(cid, told, charge or cjson.decode(reserved), at)
  return true
end

-- What `cid` was granted changed: each ancestor lends on what changed, up to the first that has no limit.
local function pass_on(cid, change)
  for resource, by in pairs(change) do
    local ancestor = call('HGET', X(cid), 'pa')
    while by ~= 0 and ancestor and ancestor ~= '' do
      TOUCHED[ancestor] = true
      call('HINCRBY', P .. 'b:' .. ancestor, resource .. '.l', by)
      if not money(ancestor, resource) then break end
      call('HINCRBY', P .. 'b:' .. ancestor, resource .. '.g', by)
      ancestor = call('HGET', X(ancestor), 'pa')
    end
  end
end

-- The limited resources of `cid`: {resource = sign * what is granted (or, asked so, free)}.
local function limits(cid, sign, only_free)
  local found, flat = {}, call('HGETALL', P .. 'b:' .. cid)
  for i = 1, #flat, 2 do
    local resource = string.match(flat[i], '^(.*)%.g$')
    if resource then
      local granted, used = money(cid, resource)
      found[resource] = sign * (only_free and math.max(0, granted - used) or granted)
    end
  end
  return found
end

-- What the family under `cid` has no more use for is owed to the account that lent it, see maestro/budget/accounts.py.
local function owe(cid, amounts)
  if not call('HGET', X(cid), 'ac') then return end
  for resource, amount in pairs(amounts) do
    if amount > 0 then
      call('HINCRBY', P .. 'rs:' .. cid, resource, text(amount))
      call('SADD', P .. 'owing', cid)
    end
  end
end

-- An ended one gives what is free back to its parent; an ended parent passes it on, to its account in the end.
local function give_back(cid)
  local parent = call('HGET', X(cid), 'pa')
  if not parent or parent == '' then
    if not call('HGET', X(cid), 'ac') then return end
    local rest = limits(cid, 1, true)
    add(cid, 'g', rest, -1)
    return owe(cid, rest)
  end
  local flat = call('HGETALL', P .. 'b:' .. cid)
  for i = 1, #flat, 2 do
    local resource = string.match(flat[i], '^(.*)%.g$')
    if resource then
      local granted, used = money(cid, resource)
      if granted - used > 0 then
        TOUCHED[parent] = true
        call('HINCRBY', P .. 'b:' .. cid, resource .. '.g', used - granted)
        call('HINCRBY', P .. 'b:' .. parent, resource .. '.l', used - granted)
      end
    end
  end
  if TERMINAL[call('HGET', X(parent), 'st')] then give_back(parent) end
end

-- There is more money: whoever waits for some is told, and so is a tick under way, that may be about to.
local function tell_granted(cid, line, at)
  local x = call('HMGET', X(cid), 'st', 'wk', 'h')
  if TERMINAL[x[1]] or (x[3] == '' and not string.find(x[2], ',budget,', 1, true)) then return end
  put(cid, 'control', 'control:granted', line, at)
end

-- The provider tells what a call that was charged in full has cost: once.
local function correct(cid, call_id, actual, line, at, told)
  local field = 'U.' .. call_id
  local charged = call('HGET', P .. 'b:' .. cid, field)
  if not charged then return false end
  add(cid, 's', cjson.decode(charged), -1)
  add(cid, 's', actual, 1)
  call('HDEL', P .. 'b:' .. cid, field)
  told = told or {}
  told.type, told.cid, told.call_id, told.charged, told.actual = 'refunded', cid, call_id, cjson.decode(charged), actual
  told.rev, told.at_ms = tonumber(call('HGET', X(cid), 'rev')), at
  fact(cjson.encode(told))
  if TERMINAL[call('HGET', X(cid), 'st')] then give_back(cid) end
  tell_granted(cid, line, at)
  return true
end

-- How each limited account of `cid` stands, see maestro/budget/standing.py:
-- {resource, level, alerted, granted, spent, left, soft cap}.
local function standings(cid)
  local found, known, flat = {}, {}, call('HGETALL', P .. 'b:' .. cid)
  local function part_of(granted, permille)
    local rest = math.fmod(granted, 1000)
    return (granted - rest) / 1000 * permille + math.floor(rest * permille / 1000)
  end
  for i = 1, #flat, 2 do
    local resource = string.match(flat[i], '^(.*)%.g$') or string.match(flat[i], '^(.*)%.c$')
    if resource and not known[resource] then
      known[resource] = true
      local m = call('HMGET', P .. 'b:' .. cid, resource .. '.s', resource .. '.l', resource .. '.g', resource .. '.c')
      local spent, granted, soft = tonumber(m[1]) or 0, tonumber(m[3]), tonumber(m[4])
      local cap = math.min(granted or soft, soft or granted)
      local left = cap - spent - (tonumber(m[2]) or 0)
      local level = (left <= part_of(cap, 600) and 1 or 0) + (left <= part_of(cap, 300) and 1 or 0)
      if cap > 0 then found[#found + 1] = {resource, level, cap - spent <= part_of(cap, 200), granted, spent, left, soft} end
    end
  end
  table.sort(found, function(a, b) return a[1] < b[1] end)
  return found
end

-- A crossing is a fact, and one event of the mesh on its way; an alert waits for people, too. See maestro/budget/standing.py.
local function tell_crossing(cid, told, at)
  fact(cjson.encode(told))
  local kind = string.match(told.type, '^budget_(.*)$')
  local key = cid .. ':' .. call('HINCRBY', X(cid), 'cn', 1)
  local event = {id = 'budget:' .. key, key = key, subject = 'budget.' .. kind .. '.' .. cid, type = told.type, payload = told,
    source = 'ledger', time_ms = at, tenant = string.match(KEYS[1], '^maestro:(.-):{'), taint = 'trusted'}
  call('XADD', P .. 'outbox', '*', 'i', event.id, 'k', 'event', 't', 'mesh', 'p', cjson.encode(event))
  signal('relay')
  if kind == 'alert' then call('HSET', P .. 'alarms', event.id, cjson.encode(told)) end
end

-- Whoever's money was moved may have crossed a border.
local LEVELS = {[0] = 'none', 'downshift', 'floor'}
local function tell_crossings(at)
  local touched = {}
  for cid in pairs(TOUCHED) do touched[#touched + 1] = cid end
  table.sort(touched)
  for _, cid in ipairs(touched) do
    local x = call('HMGET', X(cid), 'st', 'lv')
    if x[1] and not TERMINAL[x[1]] then
      local was, now = {}, {}
      for name, level, alerted in string.gmatch(x[2] or '', '([^,=]+)=(%d)(%d)') do was[name] = {tonumber(level), alerted} end
      for _, s in ipairs(standings(cid)) do
        local before = was[s[1]] or {0, '0'}
        local told = {cid = cid, resource = s[1], granted = s[4], soft_cap = s[7], at_ms = at}
        if s[2] ~= before[1] then
          told.type, told['from'], told.to, told.left = 'budget_pressure', LEVELS[before[1]], LEVELS[s[2]], s[6]
          tell_crossing(cid, told, at)
        end
        if s[3] and before[2] == '0' then
          told = {type = 'budget_alert', cid = cid, resource = s[1], granted = s[4], soft_cap = s[7], spent = s[5], at_ms = at}
          tell_crossing(cid, told, at)
        end
        if s[2] > 0 or s[3] then now[#now + 1] = s[1] .. '=' .. s[2] .. (s[3] and '1' or '0') end
        was[s[1]] = nil
      end
      now = table.concat(now, ',')
      if now ~= (x[2] or '') then call('HSET', X(cid), 'lv', now) end
    end
  end
end

-- A child outlives its parent `cid`: alone, or with the nearest living ancestor (which is told) as its parent. Its money
-- stays its own: it leaves the books of the path that it hung on, and enters those of the path that it hangs on now.
local function release_child(cid, o, at)
  local x = call('HMGET', X(o.child), 'st', 'pa')
  if not x[1] or TERMINAL[x[1]] or x[2] ~= cid then return end
  local heir = o.adopt and call('HGET', X(cid), 'pa') or ''
  while heir ~= '' and TERMINAL[call('HGET', X(heir), 'st') or 'failed'] do heir = call('HGET', X(heir), 'pa') or '' end
  pass_on(o.child, limits(o.child, -1))
  call('HSET', X(o.child), 'pa', heir)
  if heir ~= '' then
    pass_on(o.child, limits(o.child, 1))
    deliver(heir, o.lane, o.key, o.id, o.line, at)
  end
  fact('{"type":"' .. (heir == '' and 'detached' or 'adopted_up') .. '","cid":"' .. o.child .. '","from":"' .. cid
    .. '","parent":' .. (heir == '' and 'null' or '"' .. heir .. '"') .. '}')
end

-- An entry is in the set of its half-life, and the lowest is not where there were too many. What was ranked while the
-- engine was away waits for it in `degraded`, as `<cid> <half-life> <id>`; no text can look like the mark.
local function note_degraded(cid, half_life, id, entry, at)
  local member = cid .. ' ' .. half_life .. ' ' .. id
  if string.find(entry, '"degraded":true', 1, true) then call('ZADD', P .. 'degraded', 'NX', at, member)
  else call('ZREM', P .. 'degraded', member) end
end

local function shelve(cid, half_life, key, id, entry, at)
  local set, entries = P .. 'f:' .. cid .. ':' .. half_life, P .. 'e:' .. cid
  call('HSET', entries, id, entry)
  call('ZADD', set, key, id)
  note_degraded(cid, half_life, id, entry, at)
  if call('ZCARD', set) > 1000 then
    local lowest = call('ZPOPMIN', set)
    call('HDEL', entries, lowest[1])
  end
end

-- The field of one is in the field of the other too, each entry once: entries are named by what they hold.
local function copy_field(from, to, half_lives)
  local entries = call('HGETALL', P .. 'e:' .. from)
  for i = 1, #entries, 2 do call('HSETNX', P .. 'e:' .. to, entries[i], entries[i + 1]) end
  for _, half_life in ipairs(half_lives) do
    local ranked = call('ZRANGE', P .. 'f:' .. from .. ':' .. half_life, 0, -1, 'WITHSCORES')
    for n = 1, #ranked, 2 do
      call('ZADD', P .. 'f:' .. to .. ':' .. half_life, 'NX', ranked[n + 1], ranked[n])
      local waits = call('ZSCORE', P .. 'degraded', from .. ' ' .. half_life .. ' ' .. ranked[n])
      if waits then call('ZADD', P .. 'degraded', 'NX', waits, to .. ' ' .. half_life .. ' ' .. ranked[n]) end
    end
  end
end

local function birth(b, checkpoint, record, at)
  call('SET', P .. 'c:' .. b.cid, checkpoint)
  call('HSET', X(b.cid), 'ep', 0, 'rev', 0, 'ce', 0, 'h', '', 'wk', ',', 'pl', b.pool, 'st', 'pending', 'tr', 0, 'jn', 0,
    'hd', '', 'fr', '0', 'pa', b.parent or '')
  local tree = b.parent and call('HMGET', X(b.parent), 'ft', 'fb', 'ac') or {}
  local account = b.account or tree[3]
  if account then
    call('HSET', X(b.cid), 'ac', account)
    local told = cjson.decode(b.fact)
    told.account = account
    b.fact = cjson.encode(told)
  end
  if tree[1] == '1' then call('HSET', X(b.cid), 'fr', '1', 'ft', '1', 'fb', tree[2]) end
  call('RPUSH', P .. 'l:' .. b.cid, stamp(at) .. ' ' .. record)
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

-- {who, since} out of the ready set: `only` or, where that is '', who has stood there for longest; {} for nobody.
local function take_ready(pool, only, braked)
  local set, first = P .. 'ready:' .. pool, nil
  if only ~= '' then
    first = {only, call('ZSCORE', set, only) or nil}
  elseif braked then
    first = call('ZRANGE', set, 0, 0, 'WITHSCORES')
  else
    return call('ZPOPMIN', set)
  end
  if not first[2] or braked and tonumber(first[2]) >= 0 then return {} end
  call('ZREM', set, first[1])
  return first
end

-- What a holder says of itself when it adopts, `<listens_ms> <room> ,<cid>=<epoch>,`: see maestro/tick/linger.py.
local function lingering(said)
  local listens_ms, room, known = string.match(said or '', '^(%d+) (%d) (.*)$')
  return {listens_ms = tonumber(listens_ms or '0'), room = room == '1', known = known or ''}
end

-- It has the checkpoint that its last commit wrote: there is nothing to read.
local function checkpoint_for(cid, committed_under, lingers)
  if string.find(lingers.known, ',' .. cid .. '=' .. committed_under .. ',', 1, true) then
    count('adopted_known')
    return ''
  end
  return call('GET', P .. 'c:' .. cid)
end

-- It listens to its own name from now on, unless it has found something and has no room for more.
local function settle_in(holder, pool, lingers, at, found)
  if lingers.listens_ms == 0 then return end
  local name = own_name(holder)
  if found and not lingers.room then leave_home(name) else be_at_home(name, pool, lingers.listens_ms, at) end
end

local function adopt(pool, holder, lease_ms, at, only, said)
  local lingers = lingering(said)
  local braked = call('EXISTS', P .. 'brake') == 1
  for _ = 1, 16 do
    local popped = take_ready(pool, only or '', braked)
    if #popped == 0 then break end
    local cid = popped[1]
    local x = call('HMGET', X(cid), 'st', 'h', 'fr', 'rev', 'wk', 'hd', 'pa', 'ce')
    if x[1] and not TERMINAL[x[1]] and x[2] == '' and (x[3] == '0' or tonumber(popped[2]) < 0) then
      local controls, mail = call('LRANGE', P .. 'k:' .. cid, 0, -1), mail_for(cid, x[5], at)
      local epoch = next_epoch(tonumber(call('HGET', X(cid), 'ep')))
      local tries = call('HINCRBY', X(cid), 'tr', 1)
      call('HSET', X(cid), 'ep', text(epoch), 'h', holder, 'lh', holder, 'cs', #controls, 'ms', #mail)
      if WANTS_CODE[x[6]] then call('HSET', X(cid), 'hd', '') end
      call('ZREM', P .. 'timers', cid .. ' !retry', cid .. ' !window')
      call('SADD', P .. 'held:' .. holder, cid)
      call('ZADD', P .. 'leases', at + lease_ms, holder)
      count('adopted')
      if string.find(pool, '@', 1, true) and string.sub(call('HGET', X(cid), 'pn') or '', 1, 1) == '0' then unpin(cid) end
      settle_in(holder, pool, lingers, at, true)
      return {
        cid, epoch, tonumber(x[4]), tries, checkpoint_for(cid, x[8], lingers), x[5], controls,
        mail, call('HGETALL', P .. 'j:' .. cid), call('HGETALL', P .. 'b:' .. cid),
        text(at), text(math.abs(tonumber(popped[2]))), call('HGET', P .. 'err', cid), x[7],
      }
    end
  end
  settle_in(holder, pool, lingers, at, false)
  return false
end

-- nil when `epoch` is current and holds it, else the refusal
local function fenced(cid, epoch)
  local x = call('HMGET', X(cid), 'ep', 'h')
  if x[1] == epoch and x[2] ~= '' then return nil end
  count('fenced')
  return {'fenced', tonumber(x[1] or '-1')}
end
