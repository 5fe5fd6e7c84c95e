-- ARGV: delivery. Makes it due now and restarts its schedule; a delivery that is being sent is left alone.
-- Returns 1, or 0 if it does not exist.
local delivery, record = ARGV[1], delivery_key(ARGV[1])
if redis.call('EXISTS', record) == 0 then return 0 end
if redis.call('HEXISTS', record, 'holder') == 1 then return 1 end
redis.call('HDEL', record, 'outcome', 'tries')
schedule(redis.call('HGET', key(job_of(delivery)), 'receiver'), delivery, now_ms())
return 1
