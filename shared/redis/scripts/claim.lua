-- ARGV: chunk, worker, lease_ms, max_items, max_suspects, max_bytes, n, n models that the worker cannot load, then the
-- rings in order of preference.
-- Claims the next items of the next job under a new lease. The job moves to the end of its ring (round robin).
-- Returns {job, model, dataset, request ('' if there is none), ms for which the first item has waited, item, upload…},
-- or {} if no job is waiting.
local chunk, worker, lease_ms = ARGV[1], ARGV[2], ARGV[3]
local max_items, max_suspects, max_bytes = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local first_ring, unloadable = 8 + tonumber(ARGV[7]), {}
for i = 8, first_ring - 1 do unloadable[ARGV[i]] = true end

local function has_model(id)
  return not next(unloadable) or not unloadable[redis.call('HGET', key(id), 'model')]
end

local function next_job()
  for i = first_ring, #ARGV do
    local id = pop_known(ARGV[i], has_model)
    while id do
      local job = redis.call('HMGET', key(id), 'state', 'ending')
      if job[1] and not job[2] and redis.call('LLEN', key(id, 'pending')) > 0 then return id end
      id = pop_known(ARGV[i], has_model)
    end
  end
end

-- Items whose worker died are claimed with a few others of that kind, then alone. This isolates an item that crashes
-- workers and soon frees its neighbours.
local function take(id)
  local items, bytes, limit, deaths = {}, 0, 1, nil
  while #items < limit do
    local item = redis.call('LINDEX', key(id, 'pending'), 0)
    if not item then break end
    local died = redis.call('HGET', key(id, 'deaths'), item)
    bytes = bytes + body(redis.call('HGET', key(id, 'items'), item)).size
    if #items == 0 then
      deaths, limit = died, not died and max_items or died == '1' and max_suspects or 1
    elseif died ~= deaths or bytes > max_bytes then
      break
    end
    redis.call('LPOP', key(id, 'pending'))
    table.insert(items, item)
  end
  return items
end

local id
if redis.call('EXISTS', chunk_key(chunk)) == 1 then
  id = redis.call('HGET', chunk_key(chunk), 'job') -- a repeated call whose first response was lost
else
  id = next_job()
  if not id then return {} end
  redis.call('HSET', chunk_key(chunk), 'job', id, 'worker', worker, 'items', cjson.encode(take(id)))
  if redis.call('HSETNX', key(id), 'started_at', now_ms()) == 1 then
    local finished = number(id, 'succeeded') + number(id, 'failed') + number(id, 'cancelled')
    redis.call('HSET', key(id), 'finished_before', finished)
  end
  if redis.call('HGET', key(id), 'state') == 'queued' then
    redis.call('HSET', key(id), 'state', 'running')
    touch(id)
  end
  enqueue(id)
end
redis.call('ZADD', LEASES, now_ms() + lease_ms, chunk)
local job = redis.call('HMGET', key(id), 'model', 'dataset', 'request_id')
local answer = { id, job[1], job[2] or '', job[3] or '', 0 }
for _, item in ipairs(cjson.decode(redis.call('HGET', chunk_key(chunk), 'items'))) do
  table.insert(answer, item)
  table.insert(answer, redis.call('HGET', key(id, 'items'), item))
end
if answer[7] then answer[5] = math.max(0, now_ms() - string.match(answer[7], '^%d+')) end
return answer
