-- ARGV: chunk, max_deaths (0: nobody died, the items just go back), outcome of an item that died too often (JSON).
-- Gives a chunk's items back to their job. Answers the number of items.
local chunk, max_deaths, crashed = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local held = redis.call('HMGET', chunk_key(chunk), 'job', 'items')
redis.call('DEL', chunk_key(chunk))
redis.call('ZREM', LEASES, chunk)
local id = held[1]
if not id or redis.call('EXISTS', key(id)) == 0 then return 0 end
local items = cjson.decode(held[2])
local ending = redis.call('HGET', key(id), 'ending')
for i = #items, 1, -1 do
  local item = items[i]
  if ending then
    finish_unworked(id, item)
  elseif max_deaths > 0 and redis.call('HINCRBY', key(id, 'deaths'), item, 1) >= max_deaths then
    finish(id, item, 'failed', crashed, '')
    redis.call('SADD', key(id, 'retryable'), item)
  else
    redis.call('LPUSH', key(id, 'pending'), item)
  end
end
touch(id)
enqueue(id)
settle(id)
return #items
