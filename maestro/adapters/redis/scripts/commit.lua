-- The single write that ends a tick, and the next adoption.
-- ARGV: cid, epoch, rev, checkpoint, record, plan JSON, next pool ('' for none), next holder, lease_ms,
--   what it says of itself, then checkpoint and record of each birth.
-- -> {ok | duplicate, next} | fenced | budget | news (an end that knows nothing of a child adopted meanwhile) | heirless
local cid, epoch, rev, plan = ARGV[1], ARGV[2], tonumber(ARGV[3]), cjson.decode(ARGV[6])
local at = now_ms()
local x = call('HMGET', X(cid), 'ep', 'rev', 'ce', 'st', 'pl', 'h')

local function adopt_next()
  if ARGV[7] == '' then return false end
  return adopt(ARGV[7], ARGV[8], tonumber(ARGV[9]), at, '', ARGV[10])
end

if x[2] == ARGV[3] and x[3] == epoch then return {'duplicate', adopt_next()} end
if x[1] ~= epoch or x[6] == '' or tonumber(x[2]) + 1 ~= rev then
  count('fenced')
  return {'fenced', tonumber(x[1] or '-1')}
end

-- All that a merged one leaves is its heir's: free money that the heir has a limit for, findings, field.
local function inherit(from, p, when)
  local heir, left = p.heir, {}
  local same = call('HGET', X(from), 'ac') == call('HGET', X(heir.cid), 'ac') -- else it is its account's again
  for resource, free in pairs(limits(from, 1, true)) do
    if same and money(heir.cid, resource) then left[resource] = free end
  end
  add(from, 'g', left, -1)
  for resource, by in pairs(left) do left[resource] = -by end
  pass_on(from, left)
  for resource, by in pairs(left) do left[resource] = -by end
  add(heir.cid, 'g', left, 1)
  pass_on(heir.cid, left)
  local known = {}
  local function content(f)
    local finding = cjson.decode(f)
    return finding, redis.sha1hex(cjson.encode({finding.title, finding.body, finding.links})) -- lists keep their order
  end
  for _, f in ipairs(call('LRANGE', P .. 'fd:' .. heir.root, 0, -1)) do
    local _, name = content(f)
    known[name] = true
  end
  for _, f in ipairs(p.root == heir.root and {} or call('LRANGE', P .. 'fd:' .. p.root, 0, -1)) do
    local finding, name = content(f)
    if not known[name] and (p.root == from or finding.continuation == from) then
      known[name] = true
      call('RPUSH', P .. 'fd:' .. heir.root, f)
    end
  end
  copy_field(from, heir.cid, heir.half_lives)
  for _, m in ipairs(heir.mail) do deliver(heir.cid, m.lane, m.key, m.id, m.line, when) end
end

local lending = {}
for resource, amount in pairs(plan.spend) do lending[resource] = amount end
for _, b in ipairs(plan.births) do
  for resource, amount in pairs(b.grant) do lending[resource] = (lending[resource] or 0) + amount end
end
for _, g in ipairs(plan.grants) do
  g.living = not TERMINAL[call('HGET', X(g[1]), 'st') or 'failed']
  for resource, amount in pairs(g.living and g[2] or {}) do lending[resource] = (lending[resource] or 0) + amount end
end
local short = short_of(cid, lending)
if short then return {'budget', short[1], short[2], short[3]} end
if TERMINAL[plan.status] and ordered(cid, 'adopted', plan.controls) then return {'news'} end
if plan.heir and TERMINAL[call('HGET', X(plan.heir.cid), 'st') or 'failed'] then return {'heirless'} end

-- from here on only writes
local mail = P .. 'm:' .. cid
call('SET', P .. 'c:' .. cid, ARGV[4])
call('RPUSH', P .. 'l:' .. cid, stamp(at) .. ' ' .. ARGV[5])
call('HSET', X(cid), 'rev', rev, 'ce', epoch, 'wk', plan.wk, 'st', plan.status, 'tr', 0, 'jn', plan.join, 'hd', plan.hold,
  'wn', plan.windows, 'wl', plan.limits)
held_away(cid, x[6])
if plan.status ~= x[4] then
  count('status:' .. x[4], -1)
  count('status:' .. plan.status)
end
count('committed')
call('HDEL', P .. 'err', cid)

if plan.controls > 0 then call('LTRIM', P .. 'k:' .. cid, plan.controls, -1) end
local bytes = 0 -- of what was read
if plan.prefix > 0 then
  for _, line in ipairs(call('LRANGE', mail, 0, plan.prefix - 1)) do bytes = bytes + #line end
  call('LTRIM', mail, plan.prefix, -1)
end
for _, position in ipairs(plan.taken) do
  bytes = bytes + #call('LINDEX', mail, position - plan.prefix)
  call('LSET', mail, position - plan.prefix, '')
end
if #plan.taken > 0 then call('LREM', mail, 0, '') end
if bytes > 0 then call('HINCRBY', X(cid), 'mb', -bytes) end
local read = plan.controls + plan.prefix + #plan.taken
if read > 0 then count('mail_read', read) end
if plan.events > 0 then count('event_applied', plan.events) end

if not plan.keep_journal then
  for _, field in ipairs(call('HKEYS', P .. 'b:' .. cid)) do
    local call_id = string.match(field, '^R%.(.*)$')
    if call_id then settle(cid, call_id, nil, {outcome = 'unknown', rev = rev}, at) end
  end
  call('DEL', P .. 'j:' .. cid)
  drop_pieces(cid)
end

for _, t in ipairs(plan.untimers) do call('ZREM', P .. 'timers', cid .. ' ' .. t) end
for _, t in ipairs(plan.timers) do set_timer(cid, t[1], t[2]) end
for _, s in ipairs(plan.unsubs) do call('HDEL', P .. 's:' .. s[1], cid .. ' ' .. s[2]) end
for _, s in ipairs(plan.subs) do call('HSET', P .. 's:' .. s[1], cid .. ' ' .. s[2], s[3]) end

add(cid, 's', plan.spend, 1)
if next(plan.spend) then tell_charge(cid, {outcome = 'spent', rev = rev}, plan.spend, at) end
for i, b in ipairs(plan.births) do
  add(cid, 'l', b.grant, 1)
  birth(b, ARGV[9 + 2 * i], ARGV[10 + 2 * i], at)
end
for _, g in ipairs(plan.grants) do
  if g.living then
    add(cid, 'l', g[2], 1)
    grant(g[1], g[2])
    TOUCHED[g[1]] = true
  end
end
for _, w in ipairs(plan.unwatched) do
  call('HDEL', watches(w[1]), w[3])
  if w[2] == cid then forget(cid, w[4] .. ':' .. w[3]) end
end
for _, w in ipairs(plan.watches) do
  local gone = watch(w[1], w[2], w[3], w[4])
  if gone and w[2] == cid then deliver(cid, 'mail', w[5], w[6], w[7], at) end
end
for _, f in ipairs(plan.family) do deliver_or_bury(f[1], f[2], f[3], f[4], f[5], at) end
for _, o in ipairs(plan.outbox) do call('XADD', P .. 'outbox', '*', 'i', o[1], 'k', o[2], 't', o[3], 'p', o[4]) end
if #plan.outbox > 0 then signal('relay') end
for _, f in ipairs(plan.findings) do call('RPUSH', P .. 'fd:' .. plan.root, f) end
for _, p in ipairs(plan.projections) do
  call('XADD', P .. 'project', '*', 'c', p[1], 's', 'finding', 'i', '', 'r', '', 'p', p[2],
    'n', text((tonumber(call('HGET', P .. 'counts', 'published')) or 0) + 1), 'a', text(at))
end
if #plan.projections > 0 then signal('project') end
if plan.waiting == '' then call('HDEL', P .. 'waits', cid) else call('HSET', P .. 'waits', cid, plan.waiting) end
for _, f in ipairs(plan.facts) do fact(f) end

if TERMINAL[plan.status] then
  for _, o in ipairs(plan.orphans) do release_child(cid, o, at) end
  if plan.heir then inherit(cid, plan, at) end
  local parent, told = call('HGET', X(cid), 'pa'), plan.told
  if told and parent ~= '' then deliver(parent, told.lane, told.key, told.id, told.line, at) end
  tell_watchers(cid, plan.last_word, {}, at)
  give_back(cid)
  close_mailbox(cid)
  call('DEL', P .. 'j:' .. cid)
  drop_pieces(cid)
  call('ZREM', P .. 'ready:' .. x[5], cid)
  if string.sub(x[5], 1, 10) == 'dedicated-' then call('SREM', P .. 'pools', x[5]) end
  if plan.name ~= '' and call('HGET', P .. 'names', plan.name) == cid then call('HDEL', P .. 'names', plan.name) end
else
  settle_in(ARGV[8], ARGV[7], lingering(ARGV[10]), at, false) -- whoever commits looks itself: nobody else need be roused
  look(cid, at)
end
tell_crossings(at)
return {'ok', adopt_next()}
