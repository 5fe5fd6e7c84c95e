-- ARGV: chunk, lease_ms. Returns 1, or 0 if the lease is lost.
if redis.call('EXISTS', chunk_key(ARGV[1])) == 0 then return 0 end
redis.call('ZADD', LEASES, now_ms() + ARGV[2], ARGV[1])
return 1
