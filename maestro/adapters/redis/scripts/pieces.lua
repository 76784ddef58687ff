-- Shared by every script: streamed answers while they are written, see maestro/pager/pieces.py.
--   ps:<cid> how each stands by call id: `<edition> <chars of it> <last number> <bytes kept>`   p:<cid>:<call> the pieces
local function pieces_of(cid, id) return P .. 'p:' .. cid .. ':' .. id end

-- Is there no answer yet, and still somebody who waits for one?
local function is_open(cid, ordinal, id)
  local journal = P .. 'j:' .. cid
  if call('HGET', X(cid), 'st') == 'moved' then return false end
  local entry = call('HMGET', journal, ordinal, ordinal .. '.a', ordinal .. '.f')
  return entry[1] and not entry[2] and not entry[3] and cjson.decode(entry[1]).call_id == id
end

local function telling(cid, id)
  local edition, chars, last, bytes = string.match(call('HGET', P .. 'ps:' .. cid, id) or '0 0 0 0', '^(%d+) (%d+) (%d+) (%d+)$')
  return {edition = tonumber(edition), chars = tonumber(chars), last = tonumber(last), bytes = tonumber(bytes)}
end

local function keep_telling(cid, id, t)
  call('HSET', P .. 'ps:' .. cid, id, t.edition .. ' ' .. t.chars .. ' ' .. t.last .. ' ' .. t.bytes)
end

local function tell_piece(cid, id, t, kind, body, chars, bytes)
  t.last = t.last + 1
  call('RPUSH', pieces_of(cid, id), t.last .. ' ' .. t.edition .. ' ' .. t.chars .. ' ' .. bytes .. ' ' .. kind .. ' ' .. body)
  t.chars, t.bytes = t.chars + chars, t.bytes + bytes
end

-- The answer is there, or will never be; all of them, without an id.
local function drop_pieces(cid, id)
  for _, one in ipairs(id and {id} or call('HKEYS', P .. 'ps:' .. cid)) do
    call('DEL', pieces_of(cid, one))
    call('HDEL', P .. 'ps:' .. cid, one)
  end
end
