-- ARGV: dataset, number of a picture, name of the Label that fits it no better than its own ('' to forget that).
-- The decision is kept as '<index of its Label> <index of the other one>'. It changes nothing that a training learns from,
-- so the revision stays.
-- Returns {'changed'}; {'missing'}; {'unknown', number}; {'label', name}; or {'same'} if the picture has this Label, or none.
dataset = ARGV[1]
local n, name = ARGV[2], ARGV[3]
if is_missing() then return { 'missing' } end
local picture = read(n)
if not picture then return { 'unknown', n } end
if name == '' then
  redis.call('HDEL', place('rejected'), n)
  return { 'changed' }
end
local code = code_of(name)
if not code then return { 'label', name } end
if picture.label == 0 or picture.label == code then return { 'same' } end
redis.call('HSET', place('rejected'), n, (picture.label - 1) .. ' ' .. (code - 1))
return { 'changed' }
