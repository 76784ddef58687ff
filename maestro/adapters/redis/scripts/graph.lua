-- Edges between entries and what they name, see maestro/field/graph.py. g:<node> holds `<kind> <other end>` by date, tied the
-- entries that have edges. ARGV: how many entries may, how many are cut, these, then per new edge entry, kind, node, date
-- -> how many of those that were to be cut had edges
local function cut(entry)
  local bonds = call('ZRANGE', P .. 'g:' .. entry, 0, -1)
  for _, bond in ipairs(bonds) do
    local kind, node = string.match(bond, '^(%S+) (.*)$')
    call('ZREM', P .. 'g:' .. node, kind .. ' ' .. entry)
  end
  call('DEL', P .. 'g:' .. entry)
  call('ZREM', P .. 'tied', entry)
  return #bonds > 0 and 1 or 0
end

local most, n, gone = tonumber(ARGV[1]), tonumber(ARGV[2]), 0
for i = 3, 2 + n do gone = gone + cut(ARGV[i]) end
for i = 3 + n, #ARGV, 4 do
  local entry, kind, node, at = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  call('ZADD', P .. 'g:' .. entry, at, kind .. ' ' .. node)
  call('ZADD', P .. 'g:' .. node, at, kind .. ' ' .. entry)
  call('ZADD', P .. 'tied', at, entry)
end
local over = call('ZCARD', P .. 'tied') - most
if over > 0 then
  for _, entry in ipairs(call('ZRANGE', P .. 'tied', 0, over - 1)) do cut(entry) end
end
return gone
