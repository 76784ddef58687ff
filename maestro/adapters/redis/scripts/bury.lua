-- ARGV: outbox position, dead letter JSON
if call('XDEL', P .. 'outbox', ARGV[1]) == 1 then
  local l = cjson.decode(ARGV[2])
  letter(l.cause, l.to, l.kind, l.id, l.payload)
end
return 1
