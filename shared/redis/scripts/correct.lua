-- ARGV: job, then for each item: key, label (an index, or '' to remove the correction).
-- Corrects all items or none. Returns {'corrected'}; {'missing'} if the job does not exist; {'unknown', item}; or
-- {state, item} if an item has no prediction to correct.
local id = ARGV[1]
if redis.call('EXISTS', key(id)) == 0 then return { 'missing' } end
local predicted = {}
for i = 2, #ARGV, 2 do
  local item = ARGV[i]
  if redis.call('HEXISTS', key(id, 'items'), item) == 0 then return { 'unknown', item } end
  local record = redis.call('HGET', key(id, 'outcomes'), item)
  local outcome = record and body(record) or { state = 'pending' }
  if not outcome.predictions then return { outcome.state, item } end
  predicted[i] = outcome.unknown and 'unknown' or outcome.predictions[1][1]
end
for i = 2, #ARGV, 2 do
  local item, label = ARGV[i], ARGV[i + 1]
  local before = redis.call('HGET', key(id, 'corrections'), item)
  if before then count_label(id, 'corrected:' .. before, -1) end
  count_label(id, before or predicted[i], -1)
  if label == '' then
    redis.call('HDEL', key(id, 'corrections'), item)
    count_label(id, predicted[i], 1)
  else
    redis.call('HSET', key(id, 'corrections'), item, label)
    count_label(id, 'corrected:' .. label, 1)
    count_label(id, label, 1)
  end
end
if redis.call('HLEN', key(id, 'corrections')) > 0 then redis.call('ZADD', CORRECTED, now_ms(), id)
else redis.call('ZREM', CORRECTED, id) end
return { 'corrected' }
