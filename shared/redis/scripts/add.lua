-- ARGV: job, max_items, last ('' if other items may follow, otherwise the job is sealed), the schema version that the items
-- need, then for each item: key, digest, upload (JSON), outcome (JSON, or '' if the item is to be classified).
-- Returns one word per item: added, same, differs or full; or only missing or closed. After the last items also woken, if a
-- worker that lingers was woken for the job.
local id, max_items = ARGV[1], tonumber(ARGV[2])

-- Wake a worker that lingers, if there is one and this is a small job. Return whether it was woken.
local function wake()
  if redis.call('HGET', key(id), 'ready') ~= INTERACTIVE then return false end
  local worker = redis.call('ZRANGEBYSCORE', LINGERING, now_ms(), '+inf', 'LIMIT', 0, 1)[1]
  if not worker then return false end
  redis.call('ZREM', LINGERING, worker)
  redis.call('RPUSH', 'darkroom:wake:' .. worker, id)
  redis.call('EXPIRE', 'darkroom:wake:' .. worker, 1)
  return true
end

local job = redis.call('HMGET', key(id), 'state', 'sealed', 'total')
if not job[1] then return { 'missing' } end
-- A sealed job that has the last items already: a repeated call whose first response was lost.
local is_last, is_sealed = ARGV[3] ~= '', job[2] == '1'
if is_sealed and not is_last then return { 'closed' } end
local now, total, answers = now_ms(), tonumber(job[3]), {}
if number(id, 'schema') < tonumber(ARGV[4]) then redis.call('HSET', key(id), 'schema', ARGV[4]) end
for i = 5, #ARGV, 4 do
  local item, digest, upload, outcome = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local known = redis.call('HGET', key(id, 'items'), item)
  if known then
    table.insert(answers, body(known).sha256 == digest and 'same' or 'differs')
  elseif is_sealed then
    return { 'closed' }
  elseif total >= max_items then
    table.insert(answers, 'full')
  else
    total = total + 1
    redis.call('HSET', key(id, 'items'), item, now .. ' ' .. upload)
    redis.call('RPUSH', key(id, 'keys'), item)
    if outcome == '' then redis.call('RPUSH', key(id, 'pending'), item) else finish(id, item, 'failed', outcome, '') end
    table.insert(answers, 'added')
  end
end
if is_sealed then return answers end
redis.call('HSET', key(id), 'total', total, 'expires_at', now + OPEN_TTL_MS)
redis.call('ZADD', EXPIRING, now + OPEN_TTL_MS, id)
touch(id)
if is_last then
  seal(id)
  if wake() then table.insert(answers, 'woken') end
else
  enqueue(id)
end
return answers
