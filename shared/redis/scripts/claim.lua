-- ARGV: worker, lease_ms, max_items, max_suspects, max_bytes, small_bytes, share, n, n models that the worker cannot load, m,
-- m rings in order of preference, then ids of chunks.
-- Claims the next items of the next job, as the first chunk, under a new lease. The job moves to the end of its ring (round
-- robin). If it is a small picture alone, the jobs behind it that are the same, for the same model, are claimed with it,
-- each as a chunk of its own with the next id, up to the first that is not, and at most this share of the ring.
-- Returns for each chunk {chunk, job, model, dataset, request ('' if there is none), ms for which the first item has
-- waited, item, upload…}; {} if no job is waiting.
local worker, lease_ms = ARGV[1], ARGV[2]
local max_items, max_suspects, max_bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local small_bytes, share = tonumber(ARGV[6]), tonumber(ARGV[7])
local last_model = 8 + tonumber(ARGV[8])
local first_ring, unloadable = last_model + 2, {}
local first_id = first_ring + tonumber(ARGV[last_model + 1])
for i = 9, last_model do unloadable[ARGV[i]] = true end

-- Items, or bytes of them, that are too few to be divided further: a claim and a commit take some milliseconds.
local FEW_ITEMS, FEW_BYTES = 16, 4 * 1024 * 1024

local function has_model(id)
  return not next(unloadable) or not unloadable[redis.call('HGET', key(id), 'model')]
end

-- Return the next job that has work, and its ring.
local function next_job()
  for i = first_ring, first_id - 1 do
    local id = pop_known(ARGV[i], has_model)
    while id do
      local job = redis.call('HMGET', key(id), 'state', 'ending')
      if job[1] and not job[2] and redis.call('LLEN', key(id, 'pending')) > 0 then return id, ARGV[i] end
      id = pop_known(ARGV[i], has_model)
    end
  end
end

-- Return the model of a job that waits with one small picture, whose worker has not died; otherwise nil.
local function model_of_single(id)
  local job = redis.call('HMGET', key(id), 'model', 'ending', 'dataset')
  if not job[1] or job[2] or job[3] or redis.call('LLEN', key(id, 'pending')) ~= 1 then return end
  local item = redis.call('LINDEX', key(id, 'pending'), 0)
  if redis.call('HEXISTS', key(id, 'deaths'), item) == 1 then return end
  if body(redis.call('HGET', key(id, 'items'), item)).size <= small_bytes then return job[1] end
end

-- Remove and return the next job of the ring if it waits with one small picture for this model.
local function next_single(ring_name, model)
  local id, turn = first_known(ring_name, has_model)
  if id and model_of_single(id) == model then
    pop(ring_name, id, turn)
    return id
  end
end

-- Return how many items a worker may take if they are not few: of a job that gets no more items, each worker takes its
-- share of the rest. So the last chunks are small, and all workers end at the same time.
local function share_of_rest(id)
  local workers = redis.call('HLEN', WORKERS)
  if workers == 0 or redis.call('HGET', key(id), 'sealed') ~= '1' then return math.huge end
  return redis.call('LLEN', key(id, 'pending')) / workers
end

-- Items whose worker died are claimed with a few others of that kind, then alone. This isolates an item that crashes
-- workers and soon frees its neighbours.
local function take(id)
  local items, bytes, limit, deaths = {}, 0, 1, nil
  local share = share_of_rest(id)
  while #items < limit do
    local item = redis.call('LINDEX', key(id, 'pending'), 0)
    if not item then break end
    local died = redis.call('HGET', key(id, 'deaths'), item)
    bytes = bytes + body(redis.call('HGET', key(id, 'items'), item)).size
    if #items == 0 then
      deaths, limit = died, not died and max_items or died == '1' and max_suspects or 1
    elseif died ~= deaths or bytes > max_bytes then
      break
    elseif #items >= share and (#items >= FEW_ITEMS or bytes > FEW_BYTES) then
      break
    end
    redis.call('LPOP', key(id, 'pending'))
    table.insert(items, item)
  end
  return items
end

local function make_chunk(chunk, id)
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

local function make_chunks()
  local id, ring_name = next_job()
  if not id then return end
  local model = model_of_single(id)
  local most = math.ceil(share * (redis.call('ZCARD', ring_name) + 1))
  make_chunk(ARGV[first_id], id)
  for i = first_id + 1, model and math.min(#ARGV, first_id + most - 1) or 0 do
    local single = next_single(ring_name, model)
    if not single then return end
    make_chunk(ARGV[i], single)
  end
end

-- Begin or renew the chunk's lease, and return its answer.
local function leased(chunk)
  redis.call('ZADD', LEASES, now_ms() + lease_ms, chunk)
  local held = redis.call('HMGET', chunk_key(chunk), 'job', 'items')
  local id = held[1]
  local job = redis.call('HMGET', key(id), 'model', 'dataset', 'request_id')
  local answer = { chunk, id, job[1], job[2] or '', job[3] or '', 0 }
  for _, item in ipairs(cjson.decode(held[2])) do
    table.insert(answer, item)
    table.insert(answer, redis.call('HGET', key(id, 'items'), item))
  end
  if answer[8] then answer[6] = math.max(0, now_ms() - string.match(answer[8], '^%d+')) end
  return answer
end

-- If the first chunk exists, this is a repeated call whose first response was lost.
if redis.call('EXISTS', chunk_key(ARGV[first_id])) == 0 then make_chunks() end
local answers = {}
for i = first_id, #ARGV do
  if redis.call('EXISTS', chunk_key(ARGV[i])) == 1 then table.insert(answers, leased(ARGV[i])) end
end
return answers
