-- ARGV: dataset, job. Records an import or a training, and forgets those that have ended. Returns recorded or missing.
dataset = ARGV[1]
if is_missing() then return 'missing' end
for _, id in ipairs(redis.call('SMEMBERS', place('jobs'))) do
  local state = redis.call('HGET', key(id), 'state')
  if not state or TERMINAL[state] then redis.call('SREM', place('jobs'), id) end
end
redis.call('SADD', place('jobs'), ARGV[2])
return 'recorded'
