-- ARGV: job, command (HSET or HINCRBY), field, value. Changes one field of a job's record.
-- Returns the result of the command, or missing: it never recreates the record of a removed job.
local id = ARGV[1]
if redis.call('EXISTS', key(id)) == 0 then return 'missing' end
return redis.call(ARGV[2], key(id), ARGV[3], ARGV[4])
