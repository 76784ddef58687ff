-- What a family owes its account, to be paid next: the same until it is repaid. ARGV: cid. -> false | {path, number, amounts JSON}
local cid, place = ARGV[1], P .. 'rs:' .. ARGV[1]
local open = call('HGET', place, '#open')
if not open then
  local amounts, flat = {}, call('HGETALL', place)
  for i = 1, #flat, 2 do
    if string.sub(flat[i], 1, 1) ~= '#' then
      amounts[flat[i]] = tonumber(flat[i + 1])
      call('HDEL', place, flat[i])
    end
  end
  if not next(amounts) then
    call('SREM', P .. 'owing', cid)
    return false
  end
  open = cjson.encode({number = call('HINCRBY', place, '#last', 1), amount = amounts})
  call('HSET', place, '#open', open)
end
open = cjson.decode(open)
return {call('HGET', X(cid), 'ac') or '', open.number, cjson.encode(open.amount)}
