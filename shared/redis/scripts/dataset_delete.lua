-- ARGV: dataset, then numbers of pictures. Removes all of them or none; those that were removed a moment ago are fine.
-- Returns {'deleted'}, {'missing'} or {'unknown', number}.
dataset = ARGV[1]
if is_missing() then return { 'missing' } end
for i = 2, #ARGV do
  local known = redis.call('HEXISTS', place('pictures'), ARGV[i]) + redis.call('HEXISTS', place('removed'), ARGV[i])
  if known == 0 then return { 'unknown', ARGV[i] } end
end
local changed = false
for i = 2, #ARGV do
  local picture = read(ARGV[i])
  if picture then
    remove_picture(picture)
    changed = true
  end
end
if changed then save() end
return { 'deleted' }
