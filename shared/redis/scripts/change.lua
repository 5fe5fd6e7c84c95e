-- ARGV: job, command (HSET or HINCRBY), field, value. Changes one field of a job's record.
-- Answers what the command answers, or missing: a removed job's record never comes back.
local id = ARGV[1]
if redis.call('EXISTS', key(id)) == 0 then return 'missing' end
return redis.call(ARGV[2], key(id), ARGV[3], ARGV[4])
