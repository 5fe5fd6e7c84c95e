-- ARGV: job, listed ('1': appears in lists at once), owner, the owner's limit of unfinished jobs ('' for none), then the
-- other fields of the record, each followed by its value. Returns created, or full.
local id, unfinished, most, now = ARGV[1], unfinished_of(ARGV[3]), tonumber(ARGV[4]), now_ms()
-- An existing job is a repeated call whose first response was lost.
if most and redis.call('SCARD', unfinished) >= most and redis.call('EXISTS', key(id)) == 0 then return 'full' end
redis.call('SADD', unfinished, id)
redis.call('HSET', key(id), 'created_at', now, 'expires_at', now + OPEN_TTL_MS, 'total', 0, 'succeeded', 0, 'failed', 0,
  'cancelled', 0, 'revision', 0, 'owner', ARGV[3])
for i = 5, #ARGV, 2 do redis.call('HSET', key(id), ARGV[i], ARGV[i + 1]) end
redis.call('ZADD', EXPIRING, now + OPEN_TTL_MS, id)
if ARGV[2] == '1' then list(id, now) end
return 'created'
