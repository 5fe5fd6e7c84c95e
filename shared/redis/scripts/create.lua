-- ARGV: job, listed ('1': it appears in the list at once), owner, how many jobs that are not over the owner may have (''
-- for any number), then the other fields of its record and their values in turn. Answers created, or full.
local id, unfinished, most, now = ARGV[1], unfinished_of(ARGV[3]), tonumber(ARGV[4]), now_ms()
-- A job that is there is the same call again: its answer was lost on the way.
if most and redis.call('SCARD', unfinished) >= most and redis.call('EXISTS', key(id)) == 0 then return 'full' end
redis.call('SADD', unfinished, id)
redis.call('HSET', key(id), 'created_at', now, 'expires_at', now + OPEN_MS, 'total', 0, 'succeeded', 0, 'failed', 0,
  'cancelled', 0, 'revision', 0, 'owner', ARGV[3])
for i = 5, #ARGV, 2 do redis.call('HSET', key(id), ARGV[i], ARGV[i + 1]) end
redis.call('ZADD', EXPIRING, now + OPEN_MS, id)
if ARGV[2] == '1' then list(id, now) end
return 'created'
