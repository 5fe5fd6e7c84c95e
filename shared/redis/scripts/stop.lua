-- ARGV: job, ending (cancelled or failed), failure (JSON or ''), batch.
-- Ends at most `batch` pending items, so that no call blocks Redis for long. Claimed chunks finish by themselves.
-- Returns the number of items still pending, -1 if the job does not exist, or -2 if it is finished.
local id, ending, failure, batch = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local state = redis.call('HGET', key(id), 'state')
if not state then return -1 end
if TERMINAL[state] then return -2 end
if redis.call('HSETNX', key(id), 'ending', ending) == 1 then
  redis.call('HSET', key(id), 'sealed', '1')
  redis.call('HDEL', key(id), 'expires_at')
  if ending == 'cancelled' then redis.call('HSET', key(id), 'state', 'cancelling') end
  if failure ~= '' then redis.call('HSET', key(id), 'failure', failure) end
end
if is_training(id) then redis.call('DEL', key(id, 'pending')) end
for _ = 1, batch do
  local item = redis.call('LPOP', key(id, 'pending'))
  if not item then break end
  finish_unworked(id, item)
end
local left = redis.call('LLEN', key(id, 'pending'))
-- The caller may die between two calls: until the last one the job counts as expired, so the reconciler continues.
if left > 0 then redis.call('ZADD', EXPIRING, 0, id) else redis.call('ZREM', EXPIRING, id) end
touch(id)
dequeue(id)
settle(id)
return left
