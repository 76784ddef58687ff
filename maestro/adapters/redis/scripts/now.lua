-- -> the time
return text(peek_ms())
