-- A family leaves, or is copied as it stands. ARGV: export id ('' for a copy), to, members JSON
--   [{cid, rev, timers, interests}...], half-lives... -> {ok, at, {pack...}...} | changed | unknown | moved | child
-- What wakes it is kept in `mv` when it goes, so that the same export again gives the same.
local id, to, members, at = ARGV[1], ARGV[2], cjson.decode(ARGV[3]), now_ms()
local gone = false
for i, m in ipairs(members) do
  local x = call('HMGET', X(m.cid), 'rev', 'pa', 'mv')
  if not x[1] then return {'unknown', m.cid} end
  if i == 1 and x[2] ~= '' then return {'child', x[2]} end
  local mv = x[3] and cjson.decode(x[3])
  if mv and mv.id ~= id then return {'moved', m.cid, mv.to} end
  if mv then gone, at = true, tonumber(mv.at) end
  if not mv and (tonumber(x[1]) ~= m.rev or ordered(m.cid, 'adopted')) then return {'changed'} end
end

local function watched(m)
  local found = {timers = {}, subs = {}, pending = {}}
  for _, name in ipairs(m.timers) do
    local due = call('ZSCORE', P .. 'timers', m.cid .. ' ' .. name)
    if due then found.timers[#found.timers + 1] = {name, due} end
  end
  for _, s in ipairs(m.interests) do
    local relevance = call('HGET', P .. 's:' .. s[1], m.cid .. ' ' .. s[2])
    if relevance then found.subs[#found.subs + 1] = {s[1], s[2], relevance} end
  end
  return found
end

-- Watchers outside the family are told that it left: nobody here will see its end.
local function left_for(cid)
  local body = {target = cid, status = 'moved', reason = 'moved', detail = to}
  return string.sub(cjson.encode({sender = cid, subject = 'moved', body = body, sent_ms = at}), 2)
end

local stash = {}
for _, m in ipairs(members) do
  local mv = call('HGET', X(m.cid), 'mv')
  stash[m.cid] = mv and cjson.decode(mv) or watched(m)
end
if not gone then
  for _, row in ipairs(call('XRANGE', P .. 'project', '-', '+')) do
    local whose = stash[row[2][2]]
    if whose then
      whose.pending[#whose.pending + 1] = row[2]
      if id ~= '' then call('XDEL', P .. 'project', row[1]) end
    end
  end
end

for _, m in ipairs(members) do
  local s = stash[m.cid]
  if not gone then
    if id ~= '' then unpin(m.cid) end
    local x = call('HMGET', X(m.cid), 'h', 'pl', 'st')
    s.ready = (x[1] ~= '' or call('ZSCORE', P .. 'ready:' .. x[2], m.cid)) and '1' or '0'
    s.st, s.waits = x[3], call('HGET', P .. 'waits', m.cid) or ''
    if id ~= '' then
      s.id, s.to, s.at = id, to, text(at)
      if x[1] ~= '' then held_away(m.cid, x[1]) end
      drop_pieces(m.cid)
      call('HINCRBY', X(m.cid), 'ep', 1)
      call('ZREM', P .. 'ready:' .. x[2], m.cid)
      call('HDEL', P .. 'waits', m.cid)
      for _, t in ipairs(s.timers) do call('ZREM', P .. 'timers', m.cid .. ' ' .. t[1]) end
      call('HSET', X(m.cid), 'st', 'moved', 'mv', cjson.encode(s))
      count('status:' .. x[3], -1)
      count('status:moved')
      tell_watchers(m.cid, left_for(m.cid), stash, at)
      fact(cjson.encode({type = 'moved', cid = m.cid, to = to, export = id, at_ms = at}))
    end
  end
end

local out = {'ok', text(at)}
for _, m in ipairs(members) do
  local ranked = {}
  for i = 4, #ARGV do
    ranked[#ranked + 1] = call('ZRANGE', P .. 'f:' .. m.cid .. ':' .. ARGV[i], 0, -1, 'WITHSCORES')
  end
  out[#out + 1] = {
    m.cid, call('GET', P .. 'c:' .. m.cid), call('LRANGE', P .. 'l:' .. m.cid, 0, -1), call('HGETALL', X(m.cid)),
    call('LRANGE', P .. 'm:' .. m.cid, 0, -1), call('LRANGE', P .. 'k:' .. m.cid, 0, -1),
    call('HGETALL', P .. 'j:' .. m.cid), call('HGETALL', P .. 'b:' .. m.cid), call('HGETALL', P .. 'e:' .. m.cid),
    call('HGETALL', P .. 'q:' .. m.cid), ranked, call('LRANGE', P .. 'fd:' .. m.cid, 0, -1),
    call('HGET', P .. 'err', m.cid) or '', call('ZSCORE', P .. 'all', m.cid), cjson.encode(stash[m.cid]),
    call('HGETALL', watches(m.cid)),
  }
end
return out
