-- ARGV: holder (the fence), lease_ms, then the busy receivers, which are skipped.
-- Claims the delivery that has been due longest, for lease_ms.
-- Returns {delivery, receiver, url, field, value, field, value…}, or {} if none is due.
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
