-- ARGV: job, most, number of encodings, the encodings that were guessed for names, then skipped files (JSON). Adds what is
-- not known yet; of the files at most `most` in all. Returns their number, or missing.
local id, most, encodings = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local job = redis.call('HMGET', key(id), 'state', 'guessed')
if not job[1] then return 'missing' end
local known = job[2] or ''
for i = 4, 3 + encodings do
  if not string.find(' ' .. known .. ' ', ' ' .. ARGV[i] .. ' ', 1, true) then
    known = known == '' and ARGV[i] or known .. ' ' .. ARGV[i]
  end
end
if known ~= '' then redis.call('HSET', key(id), 'guessed', known) end
local count = redis.call('ZCARD', key(id, 'skipped'))
for i = 4 + encodings, #ARGV do
  if count < most then count = count + redis.call('ZADD', key(id, 'skipped'), 'NX', count, ARGV[i]) end
end
redis.call('HSET', key(id), 'skipped', count)
touch(id)
return count
