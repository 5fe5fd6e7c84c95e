-- ARGV: job, training (the fence), ending (succeeded or failed), then fields of the job's record, each followed by
-- its value.
-- Ends the training's job. Returns 1; or 0 without any change if the lease is lost.
local id, fence, ending = ARGV[1], ARGV[2], ARGV[3]
if redis.call('HGET', key(id), 'holder') ~= fence then return 0 end
redis.call('DEL', chunk_key(fence))
redis.call('ZREM', LEASES, fence)
redis.call('HDEL', key(id), 'holder')
redis.call('HSETNX', key(id), 'ending', ending) -- an earlier cancellation wins
for i = 4, #ARGV, 2 do redis.call('HSET', key(id), ARGV[i], ARGV[i + 1]) end
touch(id)
settle(id)
return 1
