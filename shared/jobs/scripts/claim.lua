-- ARGV: chunk, worker, lease_ms, max_items, max_bytes, then the rings in order of preference.
-- Takes the next job's next items under a new lease. The job goes to the end of its ring, so that jobs take turns.
-- Answers {job, model, item, upload, item, upload…} or nothing where no job waits.
local chunk, worker, lease_ms, max_items, max_bytes = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

local function next_job()
  for i = 6, #ARGV do
    local id = pop_known(ARGV[i])
    while id do
      local job = redis.call('HMGET', key(id), 'state', 'ending')
      if job[1] and not job[2] and redis.call('LLEN', key(id, 'pending')) > 0 then return id end
      id = pop_known(ARGV[i])
    end
  end
end

-- An item whose worker died goes alone, so that its neighbours are not held up by it again.
local function take(id)
  local items, bytes = {}, 0
  while #items < max_items do
    local item = redis.call('LINDEX', key(id, 'pending'), 0)
    if not item then break end
    local suspect = redis.call('HEXISTS', key(id, 'deaths'), item) == 1
    bytes = bytes + body(redis.call('HGET', key(id, 'items'), item)).size
    if #items > 0 and (suspect or bytes > max_bytes) then break end
    redis.call('LPOP', key(id, 'pending'))
    table.insert(items, item)
    if suspect then break end
  end
  return items
end

local id
if redis.call('EXISTS', chunk_key(chunk)) == 1 then
  id = redis.call('HGET', chunk_key(chunk), 'job') -- the same call again: its answer was lost on the way
else
  id = next_job()
  if not id then return {} end
  redis.call('HSET', chunk_key(chunk), 'job', id, 'worker', worker, 'items', cjson.encode(take(id)))
  redis.call('HSETNX', key(id), 'started_at', now_ms())
  if redis.call('HGET', key(id), 'state') == 'queued' then
    redis.call('HSET', key(id), 'state', 'running')
    touch(id)
  end
  enqueue(id)
end
redis.call('ZADD', LEASES, now_ms() + lease_ms, chunk)
local answer = { id, redis.call('HGET', key(id), 'model') }
for _, item in ipairs(cjson.decode(redis.call('HGET', chunk_key(chunk), 'items'))) do
  table.insert(answer, item)
  table.insert(answer, redis.call('HGET', key(id, 'items'), item))
end
return answer
