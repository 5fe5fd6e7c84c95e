-- ARGV: lease_ms. Claims the report that has waited longest under a lease.
-- Returns {dataset, number of claims of it}, or {} if none is due. If the first response of a repeated call was lost, its
-- report is due again when the lease expires.
local REPORTS, REPORT_CLAIMS = 'darkroom:reports', 'darkroom:reports:claims'
local due = redis.call('ZRANGEBYSCORE', REPORTS, '-inf', now_ms(), 'LIMIT', 0, 1)[1]
if not due then return {} end
redis.call('ZADD', REPORTS, now_ms() + ARGV[1], due)
return { due, redis.call('HINCRBY', REPORT_CLAIMS, due, 1) }
