-- Room for what a tool returned. ARGV: cid, content, bytes, most of a family, most of the partition, 1 to count it anyhow,
--   ms for which what is not there yet counts, ms between two looks for what was swept
-- -> {1 it is counted | 0, bytes of the family, bytes of the partition} | {} nobody has that id
-- Books: art:<root> of a family, art of the partition: content -> `<bytes> <when>`, `*` -> bytes in all, `~` -> last look.
local at, cid, content, bytes = now_ms(), ARGV[1], ARGV[2], tonumber(ARGV[3])
if call('EXISTS', X(cid)) == 0 then return {} end

local root = cid
local up = call('HGET', X(root), 'pa')
while up and up ~= '' do
  root, up = up, call('HGET', X(up), 'pa')
end
local books = {P .. 'art:' .. root, P .. 'art'}

local function held(book) return tonumber(call('HGET', book, '*')) or 0 end

local function let_go_of_what_was_swept(book)
  local looked = tonumber(call('HGET', book, '~'))
  if looked and looked + tonumber(ARGV[8]) > at then return end
  local flat, freed = call('HGETALL', book), 0
  for i = 1, #flat, 2 do
    local size, since = string.match(flat[i + 1], '^(%d+) (%d+)$')
    if since and tonumber(since) + tonumber(ARGV[7]) < at and call('EXISTS', P .. 'o:' .. flat[i]) == 0 then
      call('HDEL', book, flat[i])
      freed = freed + tonumber(size)
    end
  end
  if freed > 0 then call('HINCRBY', book, '*', text(-freed)) end
  call('HSET', book, '~', text(at))
end

local function has_room(book, most)
  if ARGV[6] == '1' or call('HEXISTS', book, content) == 1 then return true end
  if held(book) + bytes > most then let_go_of_what_was_swept(book) end
  return held(book) + bytes <= most
end

for i, book in ipairs(books) do
  if not has_room(book, tonumber(ARGV[3 + i])) then return {0, held(books[1]), held(books[2])} end
end
for _, book in ipairs(books) do
  if call('HSETNX', book, content, text(bytes) .. ' ' .. text(at)) == 1 then call('HINCRBY', book, '*', bytes) end
end
return {1, held(books[1]), held(books[2])}
