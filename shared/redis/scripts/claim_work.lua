-- ARGV: key of the queue, lease_ms. Claims the work that has waited longest under a lease.
-- Returns {work, number of claims of it}, or {} if none is due. If the first response of a repeated call was lost, its
-- work is due again when the lease expires.
local queue = ARGV[1]
local due = redis.call('ZRANGEBYSCORE', queue, '-inf', now_ms(), 'LIMIT', 0, 1)[1]
if not due then return {} end
redis.call('ZADD', queue, now_ms() + ARGV[2], due)
return { due, redis.call('HINCRBY', queue .. ':claims', due, 1) }
