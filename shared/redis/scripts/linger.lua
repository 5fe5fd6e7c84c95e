-- ARGV: worker, ms. Lets new small jobs wake the worker within this time. Returns 1, or 0 if one is waiting already.
if redis.call('EXISTS', INTERACTIVE) == 1 then return 0 end
redis.call('ZADD', LINGERING, now_ms() + ARGV[2], ARGV[1])
redis.call('EXPIRE', LINGERING, 60) -- removes the names of workers that have died
return 1
