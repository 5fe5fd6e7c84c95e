-- ARGV: dataset, then numbers of pictures. Removes all of them; those that are gone are passed over. If one was never given to
-- a picture, removes none. Returns {'deleted'}, {'missing'} or {'unknown', number}.
dataset = ARGV[1]
if is_missing() then return { 'missing' } end
local unused = tonumber(record('next'))
for i = 2, #ARGV do
  if tonumber(ARGV[i]) >= unused then return { 'unknown', ARGV[i] } end
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
