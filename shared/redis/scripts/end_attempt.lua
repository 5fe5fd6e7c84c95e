-- ARGV: delivery, holder (the fence), attempt (JSON), outcome (delivered, failed, gone; '' if it is retried),
-- seconds until the next attempt.
-- Returns 1; or 0 without any change if the lease is lost.
local delivery, holder, attempt, outcome, delay_s = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local record, id = delivery_key(delivery), job_of(delivery)
if redis.call('HGET', record, 'holder') ~= holder then return 0 end
redis.call('HDEL', record, 'holder')
count('attempts:' .. (outcome == '' and 'postponed' or outcome))
redis.call('RPUSH', record .. ':attempts', attempt)
redis.call('LTRIM', record .. ':attempts', -KEPT_ATTEMPTS, -1)
local due = outcome == '' and math.floor(now_ms() + delay_s * 1000) or nil
schedule(redis.call('HGET', key(id), 'receiver'), delivery, due)
if outcome ~= '' then redis.call('HSET', record, 'outcome', outcome == 'gone' and 'failed' or outcome) end
if outcome == 'gone' then redis.call('HSET', key(id), 'gone', '1') end
if outcome == 'delivered' then redis.call('HDEL', key(id), 'gone') end
return 1
