-- ARGV: job, ending (cancelled or failed), failure (JSON or ''), batch.
-- Ends the waiting items, at most `batch` of them in one call, so that no call holds Redis for long.
-- Chunks in hand end by themselves. Answers how many still wait, or -1 where there is no such job, -2 where it is over.
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
-- Whoever stops the job may die between two calls: until the last one it is due, so that the reconciler goes on.
if left > 0 then redis.call('ZADD', EXPIRING, 0, id) else redis.call('ZREM', EXPIRING, id) end
touch(id)
dequeue(id)
settle(id)
return left
