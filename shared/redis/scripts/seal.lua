-- ARGV: job. Closes the job to new items and queues a training job. An unlisted job (of a single request) becomes listed.
-- Returns missing, empty or sealed.
local id = ARGV[1]
local job = redis.call('HMGET', key(id), 'state', 'sealed', 'total', 'started_at', 'created_at')
if not job[1] then return 'missing' end
if job[2] == '1' then return 'sealed' end
if is_training(id) then
  redis.call('RPUSH', key(id, 'pending'), RUN)
elseif tonumber(job[3]) == 0 then
  return 'empty'
end
redis.call('HSET', key(id), 'sealed', '1', 'state', job[4] and 'running' or 'queued')
redis.call('HDEL', key(id), 'expires_at')
redis.call('ZREM', EXPIRING, id)
list(id, job[5])
touch(id)
enqueue(id)
settle(id)
return 'sealed'
