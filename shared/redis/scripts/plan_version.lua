-- ARGV: job, training (the fence), version.
-- Notes the version that is published next. Answers 1, or 0 where the training is no longer the caller's.
local id, fence, version = ARGV[1], ARGV[2], ARGV[3]
if redis.call('HGET', key(id), 'holder') ~= fence then return 0 end
redis.call('HSET', key(id), 'model', version)
redis.call('HDEL', key(id, 'deaths'), RUN) -- it got further than before: what killed its workers is behind it
return 1
