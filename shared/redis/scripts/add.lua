-- ARGV: job, max_items, last ('' if other items may follow; otherwise the job is sealed), then for each item: key, digest, upload (JSON), outcome (JSON, or '' if the
-- item is to be classified).
-- Returns one word per item: added, same, differs or full; or only missing or closed.
local id, max_items = ARGV[1], tonumber(ARGV[2])
local job = redis.call('HMGET', key(id), 'state', 'sealed', 'total')
if not job[1] then return { 'missing' } end
-- A sealed job that has the last items already: a repeated call whose first response was lost.
local is_last, is_sealed = ARGV[3] ~= '', job[2] == '1'
if is_sealed and not is_last then return { 'closed' } end
local now, total, answers = now_ms(), tonumber(job[3]), {}
for i = 4, #ARGV, 4 do
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
if is_last then seal(id) else enqueue(id) end
return answers
