-- ARGV: dataset, batch. Moves or deletes the next pictures of a label that is being merged or deleted.
-- Returns 1 if more are left, else 0.
dataset = ARGV[1]
local batch = tonumber(ARGV[2])
local source, target = string.match(record('moving') or '', '^(%d+) (%w+)')
if not source then return 0 end
local from, to = source * SPAN, (source + 1) * SPAN - 1
local numbers = redis.call('ZRANGEBYSCORE', place('by-label'), from, to, 'LIMIT', 0, batch)
for _, n in ipairs(numbers) do
  if target == 'delete' then remove_picture(read(n)) else give_label(read(n), tonumber(target)) end
end
if #numbers > 0 then save() end
if #numbers == batch then return 1 end
redis.call('HDEL', place(), 'moving')
return 0
