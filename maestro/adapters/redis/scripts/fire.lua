-- Due timers become mail. ARGV: limit. -> {now, next due or -1, lateness...}
local at, late = now_ms(), {}
local due = call('ZRANGEBYSCORE', P .. 'timers', '-inf', text(at), 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[1]))
for i = 1, #due, 2 do
  local cid, timer = string.match(due[i], '^(%S+) (.*)$')
  local due_ms = tonumber(due[i + 1])
  call('ZREM', P .. 'timers', due[i])
  if timer == '!retry' then
    local x = call('HMGET', X(cid), 'st', 'h', 'fr', 'pl')
    if x[1] and not TERMINAL[x[1]] and x[2] == '' and x[3] == '0' then ready(cid, x[4], at) end
  else
    local key, id = 'timer:' .. timer, 'timer:' .. timer .. ':' .. text(due_ms)
    local mail = '{"id":"' .. id .. '","kind":"timer","sender":"timer","subject":"' .. timer .. '","correlation":"' .. timer
      .. '","body":{"due_ms":' .. text(due_ms) .. '},"sent_ms":' .. text(at) .. '}'
    deliver(cid, 'mail', key, id, key .. ' ' .. mail, at)
    count('timers_fired')
  end
  late[#late + 1] = math.floor(at - due_ms)
end
call('ZREMRANGEBYSCORE', P .. 'seen', '-inf', text(at - 604800000)) -- mail ids are remembered for a week
local first = call('ZRANGE', P .. 'timers', 0, 0, 'WITHSCORES')
return {text(at), first[2] or '-1', late}
