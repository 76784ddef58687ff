-- Notes of the edge, see maestro/runtime/register.py. ARGV: verb, kind, name, note, until ('' has no end).
-- add, get, take -> the note that is, or was, there; all -> {name, note, ...}
-- reg:<kind> name -> note, regend:<kind> the ends of those that have one. What is over goes with the next write, a few at once.
local kind, ends = P .. 'reg:' .. ARGV[2], P .. 'regend:' .. ARGV[2]
local verb, name = ARGV[1], ARGV[3]
local writes = verb == 'add' or verb == 'put' or verb == 'take'
local at = writes and now_ms() or peek_ms()
local function over(n)
  local due = call('ZSCORE', ends, n)
  return due and tonumber(due) <= at
end
if verb == 'all' then
  local out, all = {}, call('HGETALL', kind)
  for i = 1, #all, 2 do
    if not over(all[i]) then out[#out + 1] = all[i]; out[#out + 1] = all[i + 1] end
  end
  return out
end
local found = call('HGET', kind, name)
if found and over(name) then found = false end
if verb == 'get' or (verb == 'add' and found) then return found end
local swept = call('ZRANGEBYSCORE', ends, '-inf', text(at), 'LIMIT', 0, 64)
for _, n in ipairs(swept) do
  call('HDEL', kind, n)
  call('ZREM', ends, n)
end
if verb == 'take' then
  call('HDEL', kind, name)
  call('ZREM', ends, name)
  return found
end
call('HSET', kind, name, ARGV[4])
if ARGV[5] == '' then call('ZREM', ends, name) else call('ZADD', ends, ARGV[5], name) end
return false
