-- ARGV: job, listed ('1': it appears in the list at once), then the fields of its record and their values in turn.
local id, now = ARGV[1], now_ms()
redis.call('HSET', key(id), 'created_at', now, 'expires_at', now + OPEN_MS, 'total', 0, 'succeeded', 0, 'failed', 0,
  'cancelled', 0, 'revision', 0)
for i = 3, #ARGV, 2 do redis.call('HSET', key(id), ARGV[i], ARGV[i + 1]) end
redis.call('ZADD', EXPIRING, now + OPEN_MS, id)
if ARGV[2] == '1' then list(id, now) end
return now
