-- A family moves in. ARGV: export id, half-lives JSON, then per continuation its JSON (see adapters/redis/moves.py).
-- -> ok | known | exists | name
local id, half_lives, at = ARGV[1], cjson.decode(ARGV[2]), now_ms()
local family = {}
for i = 3, #ARGV do
  local f = cjson.decode(ARGV[i])
  family[#family + 1] = f
  local x = call('HMGET', X(f.cid), 'ar', 'st', 'ep')
  if x[1] == id then return {'known'} end
  if x[2] and (x[2] ~= 'moved' or tonumber(x[3]) >= tonumber(f.x.ep)) then return {'exists', f.cid} end
  local owner = f.name and call('HGET', P .. 'names', f.name)
  if owner and owner ~= f.cid then return {'name', f.name, owner} end
end

-- from here on only writes
local function fill(command, key, values)
  for _, v in ipairs(values) do call(command, key, v) end
end
local function fill_pairs(command, key, values)
  for _, v in ipairs(values) do call(command, key, v[1], v[2]) end
end

for _, f in ipairs(family) do
  local cid, w = f.cid, f.watched
  if call('EXISTS', X(cid)) == 1 then count('status:moved', -1) end
  for _, part in ipairs({'x', 'l', 'm', 'k', 'j', 'b', 'e', 'q', 'w', 'fd'}) do call('DEL', P .. part .. ':' .. cid) end
  for _, h in ipairs(half_lives) do call('DEL', P .. 'f:' .. cid .. ':' .. h) end
  for name, value in pairs(f.x) do call('HSET', X(cid), name, value) end
  call('HSET', X(cid), 'st', w.st, 'h', '', 'ar', id)
  call('HDEL', X(cid), 'ac') -- the accounts of another store are none of ours
  call('SET', P .. 'c:' .. cid, f.checkpoint)
  fill('RPUSH', P .. 'l:' .. cid, f.log)
  fill('RPUSH', P .. 'm:' .. cid, f.mail)
  fill('RPUSH', P .. 'k:' .. cid, f.orders)
  fill('RPUSH', P .. 'fd:' .. cid, f.findings)
  fill_pairs('HSET', P .. 'j:' .. cid, f.journal)
  fill_pairs('HSET', P .. 'b:' .. cid, f.ledger)
  fill_pairs('HSET', P .. 'e:' .. cid, f.entries)
  fill_pairs('HSET', P .. 'q:' .. cid, f.heard)
  fill_pairs('HSET', watches(cid), f.watches or {})
  for i, h in ipairs(half_lives) do
    for _, r in ipairs(f.ranked[i]) do
      call('ZADD', P .. 'f:' .. cid .. ':' .. h, r[2], r[1])
      note_degraded(cid, h, r[1], call('HGET', P .. 'e:' .. cid, r[1]) or '', at)
    end
  end
  for _, s in ipairs(f.seen) do call('ZADD', P .. 'seen', s[2], s[1]) end
  call('HDEL', P .. 'looked', cid) -- what it was looked through there, is another store's
  call('ZADD', P .. 'all', f.born, cid)
  call('SADD', P .. 'pools', f.x.pl)
  if f.name then call('HSET', P .. 'names', f.name, cid) end
  if f.error ~= '' then call('HSET', P .. 'err', cid, f.error) end
  if w.waits ~= '' then call('HSET', P .. 'waits', cid, w.waits) end
  for _, t in ipairs(w.timers) do call('ZADD', P .. 'timers', t[2], cid .. ' ' .. t[1]) end
  for _, s in ipairs(w.subs) do call('HSET', P .. 's:' .. s[1], cid .. ' ' .. s[2], s[3]) end
  for _, p in ipairs(w.pending) do call('XADD', P .. 'project', '*', unpack(p)) end
  count('status:' .. w.st)
  fact(cjson.encode({type = 'arrived', cid = cid, export = id, at_ms = at}))
  if w.ready == '1' then make_ready(cid, at) end
end
signal('timers')
signal('project')
return {'ok'}
