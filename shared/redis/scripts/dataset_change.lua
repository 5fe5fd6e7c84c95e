-- ARGV: dataset, then for each picture: number, label ('' to keep it, '-' for none, else '=' and its name), split ('' to keep
-- it, train or test: pins the picture's whole group).
-- Changes all pictures or none. Returns {'changed'}; {'missing'}; {'unknown', number}; or {'label', name}.
dataset = ARGV[1]
if is_missing() then return { 'missing' } end
local codes = { [''] = false, ['-'] = 0 }
for i = 2, #ARGV, 3 do
  local n, label = ARGV[i], ARGV[i + 1]
  if redis.call('HEXISTS', place('pictures'), n) == 0 then return { 'unknown', n } end
  if codes[label] == nil then codes[label] = code_of(string.sub(label, 2)) or nil end
  if codes[label] == nil then return { 'label', string.sub(label, 2) } end
end
local changed = false
for i = 2, #ARGV, 3 do
  local n, label, split = ARGV[i], codes[ARGV[i + 1]], ARGV[i + 2]
  if split ~= '' then
    local picture, wanted = read(n), split == 'test' and TESTING or TRAINING
    if picture.split ~= wanted or picture.pinned == 0 then
      update_group(picture, { split = wanted, pinned = 1 })
      changed = true
    end
  end
  if label and give_label(read(n), label) then changed = true end
end
if changed then save() end
return { 'changed' }
