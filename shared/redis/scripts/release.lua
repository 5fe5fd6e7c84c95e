-- ARGV: chunk, max_deaths (0: the worker did not die), outcome of an item that exceeds them (JSON), failure of a training
-- that does (JSON).
-- Returns a chunk's items, or a training, to their job. Returns their number.
local chunk, max_deaths, crashed_item, crashed_training = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local LOST_S = 60
local held = redis.call('HMGET', chunk_key(chunk), 'job', 'items', 'worker')
redis.call('DEL', chunk_key(chunk))
redis.call('ZREM', LEASES, chunk)
local id = held[1]
if not id or redis.call('EXISTS', key(id)) == 0 then return 0 end
local ending = redis.call('HGET', key(id), 'ending')
count(max_deaths > 0 and 'lost_work' or 'returned_work')
-- A worker may hold several chunks, and dies once.
if max_deaths > 0 and redis.call('SET', 'darkroom:lost:' .. held[3], '', 'NX', 'EX', LOST_S) then count('lost_workers') end

local function died_too_often(item)
  return max_deaths > 0 and redis.call('HINCRBY', key(id, 'deaths'), item, 1) >= max_deaths
end

local function give_back_training()
  redis.call('HDEL', key(id), 'holder')
  if ending then return end
  if died_too_often(RUN) then
    redis.call('HSET', key(id), 'ending', 'failed', 'failure', crashed_training)
  else
    redis.call('LPUSH', key(id, 'pending'), RUN)
  end
end

local function give_back(item)
  if ending then
    finish_unworked(id, item)
  elseif died_too_often(item) then
    finish(id, item, 'failed', crashed_item, '')
    redis.call('SADD', key(id, 'retryable'), item)
  else
    redis.call('LPUSH', key(id, 'pending'), item)
  end
end

local items = cjson.decode(held[2])
if is_training(id) then
  give_back_training()
else
  for i = #items, 1, -1 do give_back(items[i]) end
end
touch(id)
enqueue(id)
settle(id)
return #items
