-- ARGV: job, batch, the owner's limit of unfinished jobs ('' for none). Queues at most `batch` failed and cancelled items
-- again, or the training.
-- Returns {number queued, number left}; {-1} if the job does not exist, {-2} if it is being cancelled, {-3} if the owner
-- has too many unfinished jobs.
local id, batch, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local state = redis.call('HGET', key(id), 'state')
if not state then return { -1 } end
if not TERMINAL[state] and redis.call('HEXISTS', key(id), 'ending') == 1 then return { -2 } end
if most and TERMINAL[state] and redis.call('SCARD', unfinished_of(owner_of(id))) >= most then return { -3 } end
local training = is_training(id) and (state == 'failed' or state == 'cancelled')
local items = redis.call('SPOP', key(id, 'retryable'), batch)
for _, item in ipairs(items) do
  local outcome = redis.call('HGET', key(id, 'outcomes'), item)
  redis.call('HINCRBY', key(id), body(outcome).state, -1)
  redis.call('HDEL', key(id, 'outcomes'), item)
  redis.call('ZREM', key(id, 'scores'), item)
  redis.call('RPUSH', key(id, 'pending'), item)
end
if training then
  items = { RUN }
  redis.call('RPUSH', key(id, 'pending'), RUN)
  redis.call('HDEL', key(id, 'deaths'), RUN)
  redis.call('HDEL', key(id), 'finish')
end
if #items > 0 then
  if TERMINAL[state] then
    redis.call('HDEL', key(id), 'ending', 'failure', 'started_at', 'ends_at', 'finished_at', 'expires_at')
    redis.call('ZREM', EXPIRING, id)
    redis.call('HSET', key(id), 'state', 'queued')
    redis.call('SADD', unfinished_of(owner_of(id)), id)
  end
  touch(id)
  enqueue(id)
end
return { #items, redis.call('SCARD', key(id, 'retryable')) }
