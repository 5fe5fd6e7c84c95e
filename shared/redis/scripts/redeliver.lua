-- ARGV: delivery. Makes it due now, with all its attempts before it again; one that is being sent stays as it is.
-- Answers 1, or 0 where there is no such delivery.
local delivery, record = ARGV[1], delivery_key(ARGV[1])
if redis.call('EXISTS', record) == 0 then return 0 end
if redis.call('HEXISTS', record, 'holder') == 1 then return 1 end
redis.call('HDEL', record, 'outcome', 'tries')
schedule(redis.call('HGET', key(job_of(delivery)), 'receiver'), delivery, now_ms())
return 1
