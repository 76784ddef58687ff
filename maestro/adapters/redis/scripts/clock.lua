-- Shared by every script: the store's clock, which never goes back, and the gate before every write.
--   clock what a virtual clock was advanced   floor what was last told, to STEP_MS   ahead what it runs ahead of the machine's
--   clock since that was set back, until that has caught up   leap a moment that no second clock has confirmed yet
--   who `<store id> <incarnation>`, and ` closed` behind it while a person has to decide, see maestro/runtime/landmarks.py
local STEP_MS, LEAP_MS = 100, 30000
local EPOCHS = 4294967296 -- of one incarnation: those of a later one are all larger
local INCARNATION = 0

-- Time is told where nothing can be written, too: what is kept of it is kept if it can be.
local function keep(...) return redis.pcall(...) end

local function tell_clock(name, floor, at)
  keep('HINCRBY', P .. 'counts', name, 1)
  keep('XADD', P .. 'feed', 'MAXLEN', '~', '100000', '*', 'f',
    cjson.encode({type = name, from_ms = floor, to_ms = at, at_ms = floor}))
end

-- {now, who}. A clock that was set back goes on from where it was. One that is more than LEAP_MS ahead of what was last told
-- stands still until `witness_ms`, the clock of a process, agrees with the machine's: it may only have been quiet.
local function clock_ms(keeps, witness_ms)
  local t = call('TIME')
  local kept = call('MGET', P .. 'clock', P .. 'ahead', P .. 'floor', P .. 'leap', P .. 'who')
  keeps = keeps and string.find(kept[5] or '', '^%S+ %d+$') -- where nobody may write, time leaves no trace either
  local machine = t[1] * 1000 + math.floor(t[2] / 1000)
  local raw, ahead, floor = machine + (tonumber(kept[1]) or 0), tonumber(kept[2]) or 0, tonumber(kept[3]) or 0
  if ahead > 0 and raw >= floor - STEP_MS then
    ahead = 0
    if keeps then keep('DEL', P .. 'ahead') end
  end
  local at = raw + ahead
  if at < floor - STEP_MS then
    if keeps then
      keep('SET', P .. 'ahead', text(floor + STEP_MS - raw))
      tell_clock('clock_set_back', floor, at)
    end
    at = floor + STEP_MS
  elseif floor > 0 and at > floor + LEAP_MS and not (witness_ms and math.abs(machine - witness_ms) < LEAP_MS) then
    if keeps and not kept[4] then
      keep('SET', P .. 'leap', text(at))
      tell_clock('clock_doubted', floor, at)
    end
    at = floor
  elseif at < floor then
    at = floor
  elseif keeps and at >= floor + STEP_MS then
    keep('SET', P .. 'floor', text(at))
    if kept[4] then keep('DEL', P .. 'leap') end
  end
  return at, kept[5]
end

-- For those that only look.
local function peek_ms() return (clock_ms(false)) end

-- For those that write: nothing has been written when it refuses.
local function now_ms(witness_ms)
  local at, who = clock_ms(true, witness_ms)
  if not who then error('STORE_EMPTY') end
  INCARNATION = tonumber(string.match(who, '^%S+ (%d+)$'))
  if not INCARNATION then error('STORE_CLOSED') end
  return at
end

-- The epoch after this one: none of this incarnation was ever given out before it.
local function next_epoch(epoch) return math.max(epoch + 1, INCARNATION * EPOCHS + 1) end
