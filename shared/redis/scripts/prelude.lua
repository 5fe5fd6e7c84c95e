-- Prepended to every script, after the constants of `shared/redis/connection.py`: key names, the clock and shared
-- functions. `shared/redis/keys.py` has the same names for Python. Keys are built here, not passed in, so the scripts
-- need a single Redis (or Sentinel), not a Redis Cluster.

local JOBS, EXPIRING, LEASES = 'darkroom:jobs', 'darkroom:expiring', 'darkroom:leases'
local INTERACTIVE, BULK, TRAIN = 'darkroom:ring:interactive', 'darkroom:ring:bulk', 'darkroom:ring:train'
local COUNTERS, RECEIVERS = 'darkroom:counters', 'darkroom:receivers'
local CORRECTED, ENDED, LINGERING = 'darkroom:corrected', 'darkroom:ended', 'darkroom:lingering'
local WORKERS = 'darkroom:workers'
-- The only pending element of a training job, which has no items, while no worker holds it.
local RUN = 'run'
local TERMINAL = { succeeded = true, failed = true, cancelled = true }

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function key(id, part)
  return 'darkroom:job:' .. id .. (part and ':' .. part or '')
end

local function chunk_key(chunk)
  return 'darkroom:chunk:' .. chunk
end

local function number(id, field)
  return tonumber(redis.call('HGET', key(id), field) or 0)
end

-- Count one event for `/metrics`.
local function count(what)
  redis.call('HINCRBY', COUNTERS, what, 1)
end

local function touch(id)
  redis.call('HINCRBY', key(id), 'revision', 1)
end

-- Change the number of the job's classified items with this label (an index, or `corrected:<index>`) by `by`.
local function count_label(id, label, by)
  redis.call('HINCRBY', key(id, 'labels'), label, by)
end

-- The key of a classifier's champion. `owner` is '' for the shipped ones.
local function classifier_key(owner, name)
  if owner == '' and name == 'cifar10' then return 'darkroom:champion' end
  return 'darkroom:classifier:' .. owner .. ':' .. name
end

-- Decode the JSON of a record that begins with numbers: an item's `created_at`, or an outcome's position and time.
local function body(record)
  return cjson.decode(string.sub(record, (string.find(record, '{', 1, true))))
end

-- Jobs of versions without owners belong to `local`.
local function owner_of(id)
  return redis.call('HGET', key(id), 'owner') or 'local'
end

-- The key of an owner's listed jobs.
local function jobs_of(owner)
  return JOBS .. ':' .. owner
end

-- The key of an owner's unfinished jobs.
local function unfinished_of(owner)
  return 'darkroom:unfinished:' .. owner
end

local function list(id, created_at)
  redis.call('ZADD', JOBS, created_at, id)
  redis.call('ZADD', jobs_of(owner_of(id)), created_at, id)
end

local function is_training(id)
  return redis.call('HGET', key(id), 'kind') == 'training'
end

local function ring(id)
  if is_training(id) then return TRAIN end
  return number(id, 'total') <= INTERACTIVE_ITEMS and INTERACTIVE or BULK
end

-- The key of a ring's counters: its current `round`, its `arrivals`, and each owner's jobs in it.
local function counts_of(name)
  return name .. ':counts'
end

-- Add the job to its ring, if it is in none (field `ready` names the ring). The rings schedule owners by round robin: each
-- owner has one turn per round, so a job's round follows those of its owner's jobs that are waiting already. Within a
-- round the order is first come, first served.
local function enqueue(id)
  if redis.call('HEXISTS', key(id), 'ready') == 1 or redis.call('LLEN', key(id, 'pending')) == 0 then return end
  local name = ring(id)
  local round = tonumber(redis.call('HGET', counts_of(name), 'round') or 0)
  local turn = round + redis.call('HINCRBY', counts_of(name), 'owner:' .. owner_of(id), 1)
  redis.call('ZADD', name, turn + redis.call('HINCRBY', counts_of(name), 'arrivals', 1) / 2 ^ 32, id)
  redis.call('HSET', key(id), 'ready', name)
end

-- Remove the job from its ring.
local function dequeue(id)
  local name = redis.call('HGET', key(id), 'ready')
  if not name then return end
  redis.call('HDEL', key(id), 'ready')
  redis.call('ZREM', name, id)
  local owner = 'owner:' .. owner_of(id)
  if redis.call('HINCRBY', counts_of(name), owner, -1) == 0 then redis.call('HDEL', counts_of(name), owner) end
  if redis.call('ZCARD', name) == 0 then redis.call('DEL', counts_of(name)) end
end

-- Return the first job of a ring whose schema this code knows and which `is_wanted`, if given, accepts, and its turn. The
-- others stay for other workers.
local function first_known(name, is_wanted)
  for place = 0, redis.call('ZCARD', name) - 1 do
    local id, turn = unpack(redis.call('ZRANGE', name, place, place, 'WITHSCORES'))
    if number(id, 'schema') <= SCHEMA and (not is_wanted or is_wanted(id)) then return id, turn end
  end
end

-- Remove a job, whose turn it is, from its ring.
local function pop(name, id, turn)
  redis.call('HSET', counts_of(name), 'round', math.floor(turn))
  dequeue(id)
end

-- Remove and return what `first_known` returns.
local function pop_known(name, is_wanted)
  local id, turn = first_known(name, is_wanted)
  if id then pop(name, id, turn) end
  return id
end

-- Record an item's outcome (JSON), prefixed with its position in the order of finishing and the time.
local function finish(id, item, state, outcome, score)
  local place = redis.call('RPUSH', key(id, 'finished'), item) - 1
  redis.call('HSET', key(id, 'outcomes'), item, place .. ' ' .. now_ms() .. ' ' .. outcome)
  redis.call('HINCRBY', key(id), state, 1)
  redis.call('ZADD', key(id, 'scores'), score == '' and '2' or score, item)
  redis.call('HDEL', key(id, 'deaths'), item)
  count('items:' .. state .. (state == 'failed' and ':' .. body(outcome).failure.code or ''))
end

-- Whether work is left: unfinished items, or a training that has no ending yet or is held by a worker.
local function is_unfinished(id)
  if is_training(id) then
    local training = redis.call('HMGET', key(id), 'ending', 'holder')
    return not training[1] or training[2]
  end
  return number(id, 'total') > number(id, 'succeeded') + number(id, 'failed') + number(id, 'cancelled')
end

local function delivery_key(delivery)
  return 'darkroom:delivery:' .. delivery
end

local function receiver_key(receiver)
  return 'darkroom:deliveries:' .. receiver
end

-- The job of a delivery, whose id is `<job>-<number>`.
local function job_of(delivery)
  return string.match(delivery, '^%x+')
end

-- Schedule the delivery at `due` (ms), or unschedule it if nil. Each receiver has its own set, so that a dead one delays
-- no other.
local function schedule(receiver, delivery, due)
  local waiting = receiver_key(receiver)
  if due then redis.call('ZADD', waiting, due, delivery) else redis.call('ZREM', waiting, delivery) end
  local first = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
  if first[1] then redis.call('ZADD', RECEIVERS, first[2], receiver) else redis.call('ZREM', RECEIVERS, receiver) end
end

local function forget_delivery(receiver, delivery)
  schedule(receiver, delivery, nil)
  redis.call('UNLINK', delivery_key(delivery), delivery_key(delivery) .. ':attempts')
end

-- Create the delivery of the job's webhook in the same step as its end. The delivery stores the job as it ended.
local function announce(id, now)
  local job = redis.call('HMGET', key(id), 'receiver', 'gone')
  local receiver, gone = job[1], job[2]
  if not receiver or gone then return end
  local n = redis.call('HINCRBY', key(id), 'deliveries', 1)
  local delivery = id .. '-' .. n
  for _, field in ipairs({ 'kind', 'owner', 'state', 'created_at', 'started_at', 'finished_at', 'total', 'succeeded',
    'failed', 'cancelled', 'revision', 'classifier', 'model', 'failure', 'request_id' }) do
    local value = redis.call('HGET', key(id), field)
    if value then redis.call('HSET', delivery_key(delivery), field, value) end
  end
  schedule(receiver, delivery, now)
  if n > KEPT_DELIVERIES then forget_delivery(receiver, id .. '-' .. (n - KEPT_DELIVERIES)) end
end

-- End the job if no work is left. `ending` is its requested final state, if any.
local function settle(id)
  local job = redis.call('HMGET', key(id), 'state', 'sealed', 'ending')
  if TERMINAL[job[1]] or job[2] ~= '1' or is_unfinished(id) then return end
  local now, ended = now_ms(), job[3] or 'succeeded'
  local expires = now + number(id, 'retention_ms')
  redis.call('HSET', key(id), 'state', ended, 'finished_at', now, 'expires_at', expires)
  redis.call('ZADD', EXPIRING, expires, id)
  redis.call('SREM', unfinished_of(owner_of(id)), id)
  count('jobs:' .. redis.call('HGET', key(id), 'kind') .. ':' .. ended)
  announce(id, now)
  -- Waiting threads also poll, so it is not an error if the user may not publish.
  redis.pcall('PUBLISH', ENDED, id)
end

-- Close the job to new items. Return missing, empty or sealed.
local function seal(id)
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
end

-- End a pending item of a cancelled or failed job.
local function finish_unworked(id, item)
  local ending = redis.call('HGET', key(id), 'ending')
  local outcome = { state = ending }
  if ending == 'failed' then outcome.failure = cjson.decode(redis.call('HGET', key(id), 'failure')) end
  redis.call('SADD', key(id, 'retryable'), item)
  finish(id, item, ending, cjson.encode(outcome), '')
end

-- The key that exists for a minute after the chunk's commit.
local function committed_key(chunk)
  return 'darkroom:committed:' .. chunk
end

-- End the lease of a chunk that is being committed. Return its job, or nil if the lease is lost or the job is gone.
local function take_chunk(chunk)
  local id = redis.call('HGET', chunk_key(chunk), 'job')
  redis.call('DEL', chunk_key(chunk))
  redis.call('ZREM', LEASES, chunk)
  if id and redis.call('EXISTS', key(id)) == 1 then return id end
  count('stale_commits')
end

-- Record the commit of a chunk with this number of items, and what the script returned.
local function end_commit(chunk, id, items, result)
  touch(id)
  settle(id)
  local done = 'darkroom:done:' .. string.match(ring(id), '%a+$') .. ':' .. math.floor(now_ms() / 60000)
  redis.call('INCRBY', done, items)
  redis.call('EXPIRE', done, 3660)
  redis.call('SET', committed_key(chunk), result, 'EX', 60)
end
