-- Mailboxes: what comes in, whom it wakes, what is kept of what nobody will read.
-- A line is `<wake key> <expires at, or -> <tag, or -> <JSON>`. What a tick has in hand stays where it is: `ms` of the
-- oldest, from adoption to commit, and over a repeated try where the journal fixed the tick's mail.
local LIMIT, LIMIT_BYTES, READ_AT_ONCE, PAGE = 10000, 64 * 1024 * 1024, 1000, 100
local SOON, NEVER = 1000, 9007199254740991
local DEDUPE_MS, SENDERS_REMEMBERED, LETTERS_KEPT, LETTERS_OF_ONE = 604800000, 500, 10000, 1000
local BOUNDED = {event = true, message = true}
local URGENT = {child = true, down = true, exit = true, approval = true} -- read before older mail
local UNWRITTEN = {start = true, timer = true, down = true, exit = true} -- nobody misses it
local REFUSALS = {unknown = 'not_found', terminal = 'already_terminal', full = 'mailbox_full'}

local function key_of(line) return string.match(line, '^%S+') end

-- {status, holder, frozen, pool, hold, wake keys, children still to join, bytes of mail, windows of interests}
local function standing(cid) return call('HMGET', X(cid), 'st', 'h', 'fr', 'pl', 'hd', 'wk', 'jn', 'mb', 'wn') end

local function letter(cause, to, kind, id, payload, interest)
  local told = {cause = cause, to = to, kind = kind, id = id, payload = payload, interest = interest}
  call('RPUSH', P .. 'dead', cjson.encode(told))
  call('LTRIM', P .. 'dead', -LETTERS_KEPT, -1)
  count('dead')
end

local function bury_line(cause, to, line)
  local payload, kind = string.match(line, ' ({.*)$'), kind_of(key_of(line))
  letter(cause, to, kind, cjson.decode(payload).id, payload)
  if kind == 'event' then count(cause == 'expired' and 'event_expired' or 'event_dead') end
end

-- Does a mail with this key, counted already, end the wait?
local function ends_wait(x, key)
  if x[5] ~= '' and kind_of(key) ~= 'control' then return false end
  return wakes(x[6], key) and not (kind_of(key) == 'child' and tonumber(x[7]) > 0)
end

-- One child less to wait for; counted once, when its mail comes.
local function count_join(cid, x, key)
  if kind_of(key) == 'child' and tonumber(x[7]) > 0 and wakes(x[6], key) then
    x[7] = call('HINCRBY', X(cid), 'jn', -1)
  end
end

local function set_timer(cid, name, due)
  local first = call('ZRANGE', P .. 'timers', 0, 0, 'WITHSCORES')
  call('ZADD', P .. 'timers', due, cid .. ' ' .. name)
  if not first[2] or tonumber(first[2]) > due then signal('timers') end
end

-- The number of an interest in a text such as `,<interest>:<number>,`; nil where it has none.
local function number_of(numbers, interest)
  local _, last = string.find(numbers or '', ',' .. interest .. ':', 1, true)
  return last and tonumber(string.match(numbers, '^%d+', last + 1))
end

-- How long (ms) an event with this key may wait for others of its interest; 0 for not at all.
local function window_of(x, key)
  local interest = x[9] and x[9] ~= ',' and string.match(key, '^event:(.*)$')
  return interest and number_of(x[9], interest) or 0
end

-- May an event of this interest wake it, today? Counted where it does; what comes while it is about to wake wakes nobody.
local function may_wake(cid, interest, at)
  local x = call('HMGET', X(cid), 'wl', 'pl', 'wu:' .. interest)
  local limit = x[1] and x[1] ~= ',' and number_of(x[1], interest)
  if not limit then return true end
  local soon = call('ZSCORE', P .. 'ready:' .. x[2], cid) or call('ZSCORE', P .. 'timers', cid .. ' !window')
  if soon then return true end
  local today = text(math.floor(at / 86400000))
  local day, used = string.match(x[3] or '', '^(%d+) (%d+)$')
  used = day == today and tonumber(used) or 0
  if used >= limit then return false end
  call('HSET', X(cid), 'wu:' .. interest, today .. ' ' .. text(used + 1))
  return true
end

-- Something that ends the wait came: it is ready, at once or when the window that its first event opened is over.
local function rouse(cid, x, window, at)
  if window == 0 then return make_ready(cid, at, x) end
  if not call('ZSCORE', P .. 'timers', cid .. ' !window') then set_timer(cid, '!window', at + window) end
end

local function in_hand(cid, holder)
  if holder == '' and call('HEXISTS', P .. 'j:' .. cid, 'batch') == 0 then return 0 end
  return tonumber(call('HGET', X(cid), 'ms') or '0')
end

local function take_out(cid, line, why)
  call('LREM', P .. 'm:' .. cid, 1, line)
  call('HINCRBY', X(cid), 'mb', -#line)
  count(why)
end

-- What has expired is a dead letter. All of a mailbox is looked through only when something in it may have expired, and
-- `nx` says when: a full one costs nobody else a look through ten thousand mails for each event that it refuses.
local fresh -- it takes them out
local function sweep(cid, at, holder, slack)
  if tonumber(call('HGET', X(cid), 'nx') or NEVER) > at + slack then return end
  local soonest = NEVER
  for _, line in ipairs(fresh(cid, -1, at, holder)) do
    local expires = tonumber(string.match(line, '^%S+ (%d+) ') or NEVER)
    if expires <= at then expires = at + SOON end -- it is in hand
    soonest = math.min(soonest, expires)
  end
  if soonest == NEVER then call('HDEL', X(cid), 'nx') else call('HSET', X(cid), 'nx', text(soonest)) end
end

-- The oldest mails, up to number `last` (-1 for all) and less those that have expired, which are dead letters now.
function fresh(cid, last, at, holder)
  local out, kept = {}, nil
  for i, line in ipairs(call('LRANGE', P .. 'm:' .. cid, 0, last)) do
    local expires = tonumber(string.match(line, '^%S+ (%d+) ')) or math.huge
    if expires <= at then kept = kept or in_hand(cid, holder) end
    if expires <= at and i > kept then
      take_out(cid, line, 'mail_expired')
      bury_line('expired', cid, line)
    else
      out[#out + 1] = line
    end
  end
  return out
end

-- Let go of by its holder: does anything that came meanwhile wake it? A start mail left unread has woken already, once.
local function look(cid, at)
  sweep(cid, at, '', SOON)
  local x, mail, first, window = standing(cid), P .. 'm:' .. cid, 0, nil
  for _, line in ipairs(tonumber(x[7]) > 0 and call('LRANGE', mail, 0, -1) or {}) do count_join(cid, x, key_of(line)) end
  if call('LLEN', P .. 'k:' .. cid) > 0 then return make_ready(cid, at, x) end
  while x[5] == '' and window ~= 0 do
    local lines = call('LRANGE', mail, first, first + PAGE - 1)
    for _, line in ipairs(lines) do
      local key = key_of(line)
      if key ~= 'start' and ends_wait(x, key) then window = math.min(window or math.huge, window_of(x, key)) end
      if window == 0 then break end
    end
    first = first + PAGE
    if #lines < PAGE then break end
  end
  if window then rouse(cid, x, window, at) end
end

-- Its window is over: does what came meanwhile still end the wait? Behind a hundred mails it is taken for granted.
local function close_window(cid, at)
  local x, lines = standing(cid), call('LRANGE', P .. 'm:' .. cid, 0, 99)
  local stirred = #lines == 100 and x[5] == ''
  for _, line in ipairs(lines) do stirred = stirred or ends_wait(x, key_of(line)) end
  if stirred then make_ready(cid, at, x) end
end

-- In the mailbox, whether or not it was before; orders have a list of their own.
local function put(cid, _, key, line, at, x)
  x = x or standing(cid)
  if kind_of(key) == 'control' then
    call('RPUSH', P .. 'k:' .. cid, line)
  else
    local length, expires = call('RPUSH', P .. 'm:' .. cid, line), tonumber(string.match(line, '^%S+ (%d+) '))
    call('HINCRBY', X(cid), 'mb', #line)
    if URGENT[kind_of(key)] and length > READ_AT_ONCE then call('HSET', X(cid), 'ug', 1) end
    if expires and expires < tonumber(call('HGET', X(cid), 'nx') or NEVER) then
      call('HSET', X(cid), 'nx', text(expires))
    end
  end
  count('mail_delivered')
  count_join(cid, x, key)
  if ends_wait(x, key) then rouse(cid, x, window_of(x, key), at) end
end

-- The unread mail, behind what is in hand, that one with this tag supersedes.
local function superseded(cid, tag, holder)
  local lines = call('LRANGE', P .. 'm:' .. cid, in_hand(cid, holder), -1)
  for i = #lines, 1, -1 do
    if string.match(lines[i], '^%S+ %S+ (%S+) ') == tag then return lines[i] end
  end
end

-- s = {sender, number, sent at}: too old to be known by its id, is it one of those that the sender had sent before?
local function heard(cid, s, at)
  local last = s and s[3] < at - DEDUPE_MS and call('HGET', P .. 'q:' .. cid, s[1])
  return last and s[2] <= tonumber(last)
end

local function remember(cid, s)
  local senders = P .. 'q:' .. cid
  if s[2] <= tonumber(call('HGET', senders, s[1]) or '-1') then return end
  if call('HSET', senders, s[1], text(s[2])) == 1 and call('HLEN', senders) > SENDERS_REMEMBERED then
    call('HDEL', senders, call('HRANDFIELD', senders))
  end
end

-- ok | duplicate | unknown | terminal | expired | full, unread mails, bytes
local function deliver(cid, lane, key, id, line, at, s)
  local x, seen = standing(cid), cid .. ' ' .. id
  if not x[1] then return 'unknown' end
  if id ~= '' and (call('ZSCORE', P .. 'seen', seen) or heard(cid, s, at)) then return 'duplicate' end
  if TERMINAL[x[1]] then return 'terminal' end
  local expires, tag = string.match(line, '^%S+ (%S+) (%S+) ')
  local late, old = (tonumber(expires) or math.huge) <= at, tag ~= '-' and superseded(cid, tag, x[2])
  if BOUNDED[kind_of(key)] and not late and not old then
    local unread, bytes = call('LLEN', P .. 'm:' .. cid), tonumber(x[8] or '0')
    if unread >= LIMIT or bytes + #line > LIMIT_BYTES then
      sweep(cid, at, x[2], 0)
      unread, bytes = call('LLEN', P .. 'm:' .. cid), tonumber(call('HGET', X(cid), 'mb') or '0')
      if unread >= LIMIT or bytes + #line > LIMIT_BYTES then return 'full', unread, bytes end
    end
  end
  if id ~= '' then call('ZADD', P .. 'seen', at, seen) end
  if s then remember(cid, s) end
  if late then
    count('mail_delivered')
    count('mail_expired')
    bury_line('expired', cid, line)
    return 'expired'
  end
  if old then take_out(cid, old, 'mail_superseded') end
  put(cid, lane, key, line, at, x)
  return 'ok'
end

-- As `deliver`; a message or an event that cannot be is a dead letter.
local function deliver_or_bury(cid, lane, key, id, line, at)
  local outcome = deliver(cid, lane, key, id, line, at)
  if REFUSALS[outcome] and BOUNDED[kind_of(key)] then bury_line(REFUSALS[outcome], cid, line) end
  return outcome
end

-- Does anything that is read before older mail lie behind the oldest 1,000? Nothing does without `ug`.
local function urgent_behind(cid)
  if call('HEXISTS', X(cid), 'ug') == 0 then return false end
  for _, line in ipairs(call('LRANGE', P .. 'm:' .. cid, READ_AT_ONCE, -1)) do
    if URGENT[kind_of(key_of(line))] then return true end
  end
  call('HDEL', X(cid), 'ug')
  return false
end

-- The mail that an adopter sees: the oldest 1,000; all of it where what woke it, its fixed batch, or what is read before
-- older mail may lie behind them.
local function mail_for(cid, wk, at)
  local lines = fresh(cid, READ_AT_ONCE - 1, at, '')
  if #lines < READ_AT_ONCE then return lines end
  local woken, fixed = false, call('HEXISTS', P .. 'j:' .. cid, 'batch') == 1
  for _, line in ipairs(lines) do woken = woken or wakes(wk, key_of(line)) end
  return woken and not fixed and not urgent_behind(cid) and lines or fresh(cid, -1, at, '')
end

-- Nobody will read it any more: what somebody wrote is kept, the newest of it, as dead letters.
local function close_mailbox(cid)
  local mail, orders = P .. 'm:' .. cid, P .. 'k:' .. cid
  local left = call('LLEN', mail) + call('LLEN', orders)
  if left > 0 then
    count('mail_ended', left)
    local lines = call('LRANGE', mail, 0, -1)
    for i, line in ipairs(lines) do
      local kind = kind_of(key_of(line))
      if i > #lines - LETTERS_OF_ONE then
        if not UNWRITTEN[kind] then bury_line('receiver_ended', cid, line) end
      elseif kind == 'event' then
        count('event_dead') -- too many to keep, and counted all the same
      end
    end
  end
  call('DEL', mail, orders, P .. 'q:' .. cid)
end

