-- ARGV: dataset, then numbers of removed pictures whose bytes are deleted. Returns the number of others, or -1 if the dataset
-- does not exist.
dataset = ARGV[1]
for i = 2, #ARGV do redis.call('HDEL', place('removed'), ARGV[i]) end
if is_missing() then return -1 end
local left = redis.call('HLEN', place('removed'))
if left == 0 and not record('moving') then redis.call('ZREM', UNFINISHED, dataset) end
return left
