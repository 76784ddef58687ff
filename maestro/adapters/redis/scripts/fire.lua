-- Due timers become mail. ARGV: limit, the clock of the process that asks. -> {now, next due or -1, lateness...}
local at, late = now_ms(tonumber(ARGV[2])), {}
local due = call('ZRANGEBYSCORE', P .. 'timers', '-inf', text(at), 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[1]))
for i = 1, #due, 2 do
  local cid, timer = string.match(due[i], '^(%S+) (.*)$')
  local due_ms = tonumber(due[i + 1])
  call('ZREM', P .. 'timers', due[i])
  if timer == '!retry' then
    make_ready(cid, at)
  elseif timer == '!window' then
    close_window(cid, at)
  elseif timer == '!ttl' then -- a hold keeps what is over until somebody ends it
    if call('HGET', X(cid), 'hd') == '' then make_ready(cid, at) end
  else
    local key, id = 'timer:' .. timer, 'timer:' .. timer .. ':' .. text(due_ms)
    local mail = '{"id":"' .. id .. '","kind":"timer","sender":"timer","subject":"' .. timer .. '","correlation":"' .. timer
      .. '","body":{"due_ms":' .. text(due_ms) .. '},"sent_ms":' .. text(at) .. '}'
    -- put, not deliver: a timer set again for the same moment is a new timer
    if not TERMINAL[call('HGET', X(cid), 'st') or 'failed'] then put(cid, 'mail', key, key .. ' - - ' .. mail, at) end
    count('timers_fired')
  end
  late[#late + 1] = math.floor(at - due_ms)
end
call('ZREMRANGEBYSCORE', P .. 'seen', '-inf', text(at - DEDUPE_MS))
local first = call('ZRANGE', P .. 'timers', 0, 0, 'WITHSCORES')
return {text(at), first[2] or '-1', late}
