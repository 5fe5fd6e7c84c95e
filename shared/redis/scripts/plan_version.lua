-- ARGV: job, training (the fence), version.
-- Records the version that is about to be published. Returns 1, or 0 if the lease is lost.
local id, fence, version = ARGV[1], ARGV[2], ARGV[3]
if redis.call('HGET', key(id), 'holder') ~= fence then return 0 end
redis.call('HSET', key(id), 'model', version)
redis.call('HDEL', key(id, 'deaths'), RUN) -- progress: the earlier crashes no longer count
return 1
