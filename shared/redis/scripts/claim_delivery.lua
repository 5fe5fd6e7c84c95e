-- ARGV: holder (the fence), lease_ms, then the receivers that shall get nothing more at the moment.
-- Takes the delivery that is due for longest, of any other receiver. Who does not answer for lease_ms has lost it.
-- Answers {delivery, receiver, url, field, value, field, value…} or nothing where none is due.
local holder, lease_ms, now = ARGV[1], ARGV[2], now_ms()
local busy = {}
for i = 3, #ARGV do busy[ARGV[i]] = true end

local function take(receiver, delivery)
  local url = redis.call('HGET', key(job_of(delivery)), 'webhook')
  if not url then return schedule(receiver, delivery, nil) end
  schedule(receiver, delivery, now + lease_ms)
  redis.call('HSET', delivery_key(delivery), 'holder', holder)
  redis.call('HINCRBY', delivery_key(delivery), 'tries', 1)
  return { delivery, receiver, url, unpack(redis.call('HGETALL', delivery_key(delivery))) }
end

for _, receiver in ipairs(redis.call('ZRANGEBYSCORE', RECEIVERS, '-inf', now, 'LIMIT', 0, #ARGV - 1)) do
  if not busy[receiver] then
    local taken = take(receiver, redis.call('ZRANGE', receiver_key(receiver), 0, 0)[1])
    if taken then return taken end
  end
end
return {}
