-- ARGV: training (the fence), worker, lease_ms.
-- Claims the next training job under a new lease.
-- Returns {job, params, request, dataset ('' if there is none)}, or {} if no job is waiting.
local fence, worker, lease_ms = ARGV[1], ARGV[2], ARGV[3]
local id = redis.call('HGET', chunk_key(fence), 'job') -- a repeated call whose first response was lost
while not id do
  local waiting = pop_known(TRAIN)
  if not waiting then return {} end
  if redis.call('LPOP', key(waiting, 'pending')) then
    id = waiting
    redis.call('HSET', chunk_key(fence), 'job', id, 'worker', worker, 'items', cjson.encode({ RUN }))
    redis.call('HSETNX', key(id), 'started_at', now_ms())
    redis.call('HSET', key(id), 'state', 'running', 'holder', fence)
    redis.call('HINCRBY', key(id), 'starts', 1)
    touch(id)
  end
end
redis.call('ZADD', LEASES, now_ms() + lease_ms, fence)
local job = redis.call('HMGET', key(id), 'params', 'request_id', 'dataset')
return { id, job[1], job[2] or '', job[3] or '' }
