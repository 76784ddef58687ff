-- ARGV: outbox position, dead letter JSON
if call('XDEL', P .. 'outbox', ARGV[1]) == 1 then
  call('RPUSH', P .. 'dead', ARGV[2])
  count('dead')
end
return 1
