-- Watches: w:<target> holds name -> `<kind> <watcher>`, kind down (a monitor) or exit (a link). Each tells once.
local function watches(cid) return P .. 'w:' .. cid end

-- nil, or what the target lacks: nobody of that id lives.
local function watch(target, watcher, ref, kind)
  local status = call('HGET', X(target), 'st')
  if status and not TERMINAL[status] then
    call('HSET', watches(target), ref, kind .. ' ' .. watcher)
    return nil
  end
  if kind == 'exit' then call('HDEL', watches(watcher), ref) end
  return 'noproc'
end

-- What a watch told already is unheard: it leaves the mailbox, and counts as read.
local function forget(cid, key)
  for _, line in ipairs(call('LRANGE', P .. 'm:' .. cid, 0, -1)) do
    if key_of(line) == key then take_out(cid, line, 'mail_read') end
  end
end

-- `cid` has ended. `word` is the mail that says so, without what names the watch: all but `spared` are told.
local function tell_watchers(cid, word, spared, at)
  local told = call('HGETALL', watches(cid))
  for i = 1, #told, 2 do
    local ref, kind, watcher = told[i], string.match(told[i + 1], '^(%S+) (%S+)$')
    if not spared[watcher] then
      local key = kind .. ':' .. ref
      local mail = '{"id":"' .. key .. '","kind":"' .. kind .. '","correlation":"' .. ref .. '",' .. word
      call('HDEL', watches(cid), ref)
      if kind == 'exit' then call('HDEL', watches(watcher), ref) end
      if call('EXISTS', X(watcher)) == 1 then
        deliver(watcher, 'mail', key, key, key .. ' - - ' .. mail, at)
      else
        call('XADD', P .. 'outbox', '*', 'i', key, 'k', 'mail', 't', watcher, 'p', mail)
        signal('relay')
      end
    end
  end
end

