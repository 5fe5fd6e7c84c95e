-- ARGV: job, training (the fence), n, row (JSON), step, steps, seconds left.
-- Row n replaces the rows from n on that an earlier worker wrote. Returns 1, or 0 if the lease is lost.
local id, fence, n = ARGV[1], ARGV[2], tonumber(ARGV[3])
if redis.call('HGET', key(id), 'holder') ~= fence then return 0 end
if n > redis.call('LLEN', key(id, 'rows')) then
  redis.call('HDEL', key(id, 'deaths'), RUN) -- progress: the earlier crashes no longer count
else
  -- LTRIM cannot keep zero elements.
  if n == 1 then redis.call('DEL', key(id, 'rows')) else redis.call('LTRIM', key(id, 'rows'), 0, n - 2) end
end
redis.call('RPUSH', key(id, 'rows'), ARGV[4])
redis.call('HSET', key(id), 'step', ARGV[5], 'steps', ARGV[6], 'ends_at', math.floor(now_ms() + ARGV[7] * 1000))
touch(id)
return 1
