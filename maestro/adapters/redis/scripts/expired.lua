-- -> holders whose lease is over
return call('ZRANGEBYSCORE', P .. 'leases', '-inf', text(peek_ms()))
