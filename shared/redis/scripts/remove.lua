-- ARGV: job, force ('1': also unfinished jobs). Deletes the job's keys and marks its stored bytes for deletion.
-- Returns removing, missing or busy.
local id = ARGV[1]
local state = redis.call('HGET', key(id), 'state')
if not state then return 'missing' end
if ARGV[2] ~= '1' and not TERMINAL[state] then return 'busy' end
dequeue(id)
redis.call('ZREM', JOBS, id)
redis.call('ZREM', jobs_of(owner_of(id)), id)
redis.call('SREM', unfinished_of(owner_of(id)), id)
redis.call('ZREM', EXPIRING, id)
redis.call('ZREM', CORRECTED, id)
redis.call('ZADD', 'darkroom:removing', now_ms(), id)
for n = 1, number(id, 'deliveries') do forget_delivery(redis.call('HGET', key(id), 'receiver'), id .. '-' .. n) end
redis.call('UNLINK', key(id))
for _, part in ipairs({ 'items', 'keys', 'pending', 'finished', 'outcomes', 'scores', 'retryable', 'deaths', 'rows',
  'labels', 'corrections', 'skipped' }) do
  redis.call('UNLINK', key(id, part))
end
return 'removing'
