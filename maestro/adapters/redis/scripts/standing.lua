-- Which store this is and how far it has come. ARGV: names of counts. -> {who or '', what its clock last told, counts...}
local out = call('HMGET', P .. 'counts', unpack(ARGV))
table.insert(out, 1, call('GET', P .. 'floor') or '0')
table.insert(out, 1, call('GET', P .. 'who') or '')
return out
