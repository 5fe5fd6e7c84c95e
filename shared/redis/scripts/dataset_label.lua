-- ARGV: dataset, limit of labels, then names. Adds the labels that are not there, all or none.
-- Returns the index of each; missing; or full.
dataset = ARGV[1]
if is_missing() then return 'missing' end
local new, indices = {}, {}
for i = 3, #ARGV do
  if not code_of(ARGV[i]) then new[ARGV[i]] = true end
end
local more = 0
for _ in pairs(new) do more = more + 1 end
if not has_room_for_labels(more, tonumber(ARGV[2])) then return 'full' end
for i = 3, #ARGV do table.insert(indices, add_label(ARGV[i]) - 1) end
if more > 0 then dataset_changed() end
return indices
