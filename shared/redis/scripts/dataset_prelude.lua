-- Prepended to the scripts of Datasets, after `prelude.lua`: key names, and the functions that keep a Dataset's counts,
-- indexes, Groups and Splits consistent. The layout of a picture's record is in `shared/datasets/picture.py`.
--
-- A Label's code is its index + 1; 0 stands for none. A picture is a table of the fields of its record.

local UNFINISHED = 'darkroom:datasets-unfinished'
local SPLITS, UNDECIDED, TRAINING, TESTING = { [0] = 'none', 'train', 'test' }, 0, 1, 2
-- In the index of Labels a picture's score is its Label's code times this, plus its number.
local SPAN = 2 ^ 32
-- The id of the Dataset; each script sets it.
local dataset

local function place(part)
  return 'darkroom:dataset:' .. dataset .. (part and ':' .. part or '')
end

local function datasets_of(owner)
  return 'darkroom:datasets:' .. owner
end

local function is_missing()
  return redis.call('EXISTS', place()) == 0
end

local function record(field)
  return redis.call('HGET', place(), field)
end

local function dataset_changed()
  redis.call('HINCRBY', place(), 'revision', 1)
  redis.call('HSET', place(), 'updated_at', now_ms())
end

-- Note that the Dataset has work to be completed, should this process die.
local function unfinished()
  redis.call('ZADD', UNFINISHED, 'NX', now_ms(), dataset)
end

local function code_of(name)
  local index = redis.call('HGET', place('label-indices'), name)
  return index and index + 1
end

-- Return the code of the Label with this name; add it unless it is there.
local function add_label(name)
  local code = code_of(name)
  if code then return code end
  local index = redis.call('HINCRBY', place(), 'next_label', 1) - 1
  redis.call('HSET', place('labels'), index, name)
  redis.call('HSET', place('label-indices'), name, index)
  return index + 1
end

-- Whether the Dataset can get as many more Labels. Each index is given once, and a code has 16 bits.
local function has_room_for_labels(more, most)
  return redis.call('HLEN', place('labels')) + more <= most and record('next_label') + more < 65535
end

local function digest_of(rest)
  return string.sub(rest, 19, 50)
end

-- The key and the field of a digest in the index of digests: 256 small hashes take less memory than one big one.
local function digest_place(digest)
  return place(string.format('digests:%02x', string.byte(digest))), string.sub(digest, 1, 16)
end

local function hex(bytes)
  return (string.gsub(bytes, '.', function(byte) return string.format('%02x', string.byte(byte)) end))
end

-- The pictures that the script has read or added, by number, and those that it has changed; counts by field. All are kept
-- here until `save`, so that Redis is not asked twice.
local loaded, changes, counts = {}, {}, {}

local function parse(n, packed)
  local label, flags, group, rest = struct.unpack('<HBI4', packed)
  return {
    n = n, label = label, split = flags % 4, pinned = math.floor(flags / 4) % 2, format = math.floor(flags / 8),
    group = group, rest = string.sub(packed, rest), indexed = label,
  }
end

-- Return a picture, or false if there is none of this number.
local function read(number)
  local n = tonumber(number)
  if loaded[n] == nil then
    local packed = redis.call('HGET', place('pictures'), n)
    loaded[n] = packed and parse(n, packed)
  end
  return loaded[n]
end

-- The number of pictures with a Label's code and a Split.
local function counted(field)
  if not counts[field] then counts[field] = tonumber(redis.call('HGET', place('counts'), field) or 0) end
  return counts[field]
end

local function count_picture(picture, by)
  local field = picture.label .. ':' .. SPLITS[picture.split]
  counts[field] = counted(field) + by
end

-- Change fields of a picture: label, split, pinned or group.
local function update(picture, fields)
  count_picture(picture, -1)
  for name, value in pairs(fields) do picture[name] = value end
  count_picture(picture, 1)
  changes[picture.n] = picture
end

local function write(picture)
  local flags = picture.split + 4 * picture.pinned + 8 * picture.format
  local packed = struct.pack('<HBI4', picture.label, flags, picture.group) .. picture.rest
  redis.call('HSET', place('pictures'), picture.n, packed)
  if picture.indexed ~= picture.label then
    redis.call('ZADD', place('by-label'), picture.label * SPAN + picture.n, picture.n)
  end
end

-- Write what the script has changed, at its end, with a new revision.
local function save()
  for _, picture in pairs(changes) do write(picture) end
  for field, number in pairs(counts) do
    if number == 0 then redis.call('HDEL', place('counts'), field) else redis.call('HSET', place('counts'), field, number) end
  end
  dataset_changed()
end

-- The index of Groups has the pictures of Groups of two or more, by Group.
local function size_of_group(picture)
  return math.max(1, redis.call('ZCOUNT', place('groups'), picture.group, picture.group))
end

local function members(picture)
  local found = redis.call('ZRANGEBYSCORE', place('groups'), picture.group, picture.group)
  return #found > 0 and found or { picture.n }
end

-- Change the picture and all others of its Group.
local function update_group(picture, fields)
  for _, n in ipairs(members(picture)) do update(read(n), fields) end
end

-- The Split of two Groups that become one, and whether it is pinned. A single pinned one wins. Otherwise they go to train if
-- they differ: a picture may leave the test, but none that a training may have learnt from may enter it.
local function united(one, other)
  if one.pinned ~= other.pinned then return one.pinned == 1 and one.split or other.split, 1 end
  if one.split == other.split or other.split == UNDECIDED then return one.split, one.pinned end
  return one.split == UNDECIDED and other.split or TRAINING, one.pinned
end

-- Make one Group of those of two pictures: the smaller (or younger) one joins the other. The cost is that of the smaller
-- one, unless the Split of the bigger one changes.
local function join(n, m)
  local big, small = read(n), read(m)
  if big.group == small.group then return end
  local more = size_of_group(small) - size_of_group(big)
  if more > 0 or (more == 0 and small.group < big.group) then big, small = small, big end
  local split, pinned = united(big, small)
  if big.split ~= split or big.pinned ~= pinned then update_group(big, { split = split, pinned = pinned }) end
  redis.call('ZADD', place('groups'), big.group, big.n)
  for _, k in ipairs(members(small)) do
    redis.call('ZADD', place('groups'), big.group, k)
    update(read(k), { split = split, pinned = pinned, group = big.group })
  end
end

-- The Split of a picture that is the first of its Group to get a Label, this one. About one picture in five goes to the
-- test, and of the Label's n pictures between n / 5 rounded down and n / 5 rounded up. Between the two the hash decides:
-- the smallest digest in the Group.
local function decide(label, group)
  local testing = counted(label .. ':test')
  local share = (counted(label .. ':train') + testing + 1) / 5
  if testing < math.floor(share) then return TESTING end
  if testing >= math.ceil(share) then return TRAINING end
  local smallest
  for _, n in ipairs(group) do
    local digest = digest_of(read(n).rest)
    if not smallest or digest < smallest then smallest = digest end
  end
  return struct.unpack('>I4', smallest) < 2 ^ 32 / 5 and TESTING or TRAINING
end

-- Give a picture a Label, by code. Return whether that changes anything.
local function give_label(picture, label)
  if picture.label == label then return false end
  if label > 0 and picture.split == UNDECIDED then
    local group = members(picture)
    local split = decide(label, group)
    for _, n in ipairs(group) do update(read(n), { split = split }) end
  end
  update(picture, { label = label })
  return true
end

-- Add a picture without a Label; `rest` is its record after the Group.
local function add_picture(n, split, pinned, format, rest)
  local picture = { n = n, label = 0, split = split, pinned = pinned, format = format, group = n, rest = rest }
  loaded[n], changes[n] = picture, picture
  count_picture(picture, 1)
  local bucket, field = digest_place(digest_of(rest))
  redis.call('HSET', bucket, field, n)
  redis.call('HINCRBY', place(), 'pictures', 1)
  redis.call('HINCRBY', place(), 'bytes', (struct.unpack('<I4', rest, 9)))
end

local function leave_group(picture)
  if redis.call('ZREM', place('groups'), picture.n) == 0 then return end
  local left = members(picture)
  if #left > 1 then return end
  redis.call('ZREM', place('groups'), left[1])
  update(read(left[1]), { group = tonumber(left[1]) })
end

-- Note that the bytes of a picture, and its row of hashes and Embeddings, are to be deleted: `removed` has its block, row and
-- digest until they are. `rest` is its record after the Group.
local function remove_bytes(n, rest)
  local _, _, _, block, row = struct.unpack('<I4I4I4I4H', rest)
  redis.call('HSET', place('removed'), n, block .. ' ' .. row .. ' ' .. hex(digest_of(rest)))
  unfinished()
end

local function remove_picture(picture)
  leave_group(picture)
  count_picture(picture, -1)
  loaded[picture.n], changes[picture.n] = false, nil
  redis.call('HDEL', place('pictures'), picture.n)
  redis.call('ZREM', place('by-label'), picture.n)
  redis.call('HDEL', place('rejected'), picture.n)
  redis.call('HDEL', digest_place(digest_of(picture.rest)))
  redis.call('HINCRBY', place(), 'pictures', -1)
  redis.call('HINCRBY', place(), 'bytes', -struct.unpack('<I4', picture.rest, 9))
  remove_bytes(picture.n, picture.rest)
end
