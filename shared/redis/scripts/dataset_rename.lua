-- ARGV: dataset, index of a label, new name. Returns renamed, missing, unknown or taken.
dataset = ARGV[1]
local index, new = ARGV[2], ARGV[3]
if is_missing() then return 'missing' end
local name, other = redis.call('HGET', place('labels'), index), redis.call('HGET', place('label-indices'), new)
if not name then return 'unknown' end
if other then return other == index and 'renamed' or 'taken' end
redis.call('HDEL', place('label-indices'), name)
redis.call('HSET', place('label-indices'), new, index)
redis.call('HSET', place('labels'), index, new)
dataset_changed()
return 'renamed'
