-- ARGV: chunk, then for each item: key, state, outcome (JSON), score and label of the best prediction ('' without one).
-- Commits the whole chunk, or nothing if the lease is lost. Returns committed or stale. A repeated call whose first
-- response was lost returns the same within a minute.
local chunk = ARGV[1]
local committed = 'darkroom:committed:' .. chunk
if redis.call('EXISTS', committed) == 1 then
  count('duplicate_commits')
  return 'committed'
end
local id = redis.call('HGET', chunk_key(chunk), 'job')
redis.call('DEL', chunk_key(chunk))
redis.call('ZREM', LEASES, chunk)
if not id or redis.call('EXISTS', key(id)) == 0 then
  count('stale_commits')
  return 'stale'
end
for i = 2, #ARGV, 5 do
  finish(id, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
  if ARGV[i + 4] ~= '' then count_label(id, ARGV[i + 4], 1) end
  if ARGV[i + 1] == 'failed' then redis.call('SADD', key(id, 'retryable'), ARGV[i]) end
end
touch(id)
settle(id)
local done = 'darkroom:done:' .. string.match(ring(id), '%a+$') .. ':' .. math.floor(now_ms() / 60000)
redis.call('INCRBY', done, (#ARGV - 1) / 5)
redis.call('EXPIRE', done, 3660)
redis.call('SET', committed, '1', 'EX', 60)
return 'committed'
