-- ARGV: dataset, owner, name, the owner's limit of datasets, then labels. Returns created, exists or full.
dataset = ARGV[1]
local owner, name, now = ARGV[2], ARGV[3], now_ms()
local known = redis.call('HGET', datasets_of(owner), name)
if known == dataset then return 'created' end -- a repeated call whose first response was lost
if known then return 'exists' end
if redis.call('HLEN', datasets_of(owner)) >= tonumber(ARGV[4]) then return 'full' end
redis.call('HSET', datasets_of(owner), name, dataset)
redis.call('HSET', place(), 'name', name, 'owner', owner, 'created_at', now, 'updated_at', now, 'revision', 0, 'next', 1,
  'next_label', 0, 'pictures', 0, 'bytes', 0)
for i = 5, #ARGV do add_label(ARGV[i]) end
return 'created'
