-- ARGV: dataset. Deletes every key of the dataset; its blobs are still to be deleted.
-- Returns its imports and trainings, or missing.
dataset = ARGV[1]
if is_missing() then return redis.call('ZSCORE', UNFINISHED, dataset) and {} or 'missing' end
local jobs = redis.call('SMEMBERS', place('jobs'))
redis.call('HDEL', datasets_of(record('owner')), record('name'))
for byte = 0, 255 do redis.call('UNLINK', place(string.format('digests:%02x', byte))) end
for _, part in ipairs({ 'labels', 'label-indices', 'counts', 'pictures', 'by-label', 'groups', 'rejected', 'blocks',
  'removed', 'jobs' }) do
  redis.call('UNLINK', place(part))
end
redis.call('UNLINK', place())
unfinished()
return jobs
