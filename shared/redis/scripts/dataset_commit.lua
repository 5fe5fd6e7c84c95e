-- ARGV: chunk, dataset, number of its blocks that the worker has seen, rows of this block, limits of pictures and labels,
-- outcomes (JSON) of an item whose picture or label has no room and of items of a deleted dataset; then for each item: key,
-- outcome (JSON) if it has failed (the rest is '' then), row ('' if the bytes should be there already), label ('' for none),
-- flags and the packed rest of its record, numbers of near copies, rows of near copies (both separated by commas).
-- Commits the items to their job and the pictures to the dataset, all in one step or nothing. Returns {'committed', rows of
-- the added pictures, keys of the failed items}; {'stale'} if the lease is lost; {'behind'} if there are more blocks or a
-- picture is gone; {'gone'} if the dataset does not exist, and then the items have failed. A repeated call whose first
-- response was lost returns the same within a minute.
local ITEM = 8
local chunk, seen, rows, most_pictures, most_labels = ARGV[1], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local no_room, no_label, deleted = ARGV[7], ARGV[8], ARGV[9]
dataset = ARGV[2]

local function items()
  local i = 10 - ITEM
  return function()
    i = i + ITEM
    if not ARGV[i] then return nil end
    return {
      key = ARGV[i], failure = ARGV[i + 1] ~= '' and ARGV[i + 1], row = tonumber(ARGV[i + 2]), label = ARGV[i + 3],
      flags = tonumber(ARGV[i + 4]), rest = ARGV[i + 5], near = ARGV[i + 6], near_rows = ARGV[i + 7],
    }
  end
end

local function known(item)
  return redis.call('HGET', digest_place(digest_of(item.rest)))
end

local function is_behind()
  if redis.call('LLEN', place('blocks')) ~= seen then return true end
  for item in items() do
    if not item.failure and not item.row and not known(item) then return true end
  end
end

local added, failed = {}, {}

local function fail(id, item, outcome)
  finish(id, item.key, 'failed', outcome, '')
  redis.call('SADD', key(id, 'retryable'), item.key)
  table.insert(failed, item.key)
end

local before = redis.call('GET', committed_key(chunk))
if before then
  count('duplicate_commits')
  return cjson.decode(before)
end
if redis.call('EXISTS', chunk_key(chunk)) == 1 and not is_missing() and is_behind() then return { 'behind' } end
local id = take_chunk(chunk)
if not id then return { 'stale' } end
local total = 0
if is_missing() then
  for item in items() do
    fail(id, item, deleted)
    total = total + 1
  end
  end_commit(chunk, id, total, cjson.encode({ 'gone' }))
  return { 'gone' }
end

local first, pictures = tonumber(record('next')), tonumber(record('pictures'))
local numbers, is_added, committed, changed = {}, {}, {}, false

-- Why a new picture cannot be added (an outcome), or nil.
local function refusal(label)
  if pictures >= most_pictures then return no_room end
  if label ~= '' and not code_of(label) and not has_room_for_labels(1, most_labels) then return no_label end
end

-- Every picture is added without a Label first, so that it has the Split of its Group when it gets one.
local function add(item)
  item.n = first + item.row
  numbers[item.row] = item.n
  if item.label ~= '' then add_label(item.label) end
  add_picture(item.n, item.flags % 4, math.floor(item.flags / 4) % 2, math.floor(item.flags / 8), item.rest)
  pictures = pictures + 1
  is_added[item.row] = true
  table.insert(added, item.row)
end

for item in items() do
  total = total + 1
  local present = not item.failure and known(item)
  local failure = item.failure or (not present and refusal(item.label))
  if failure then
    fail(id, item, failure)
  else
    item.present = present
    if present then item.n = tonumber(present) else add(item) end
    if item.row then numbers[item.row] = item.n end
    table.insert(committed, item)
  end
end

local function join_near_copies(item)
  for n in string.gmatch(item.near, '%d+') do
    if read(n) then join(item.n, n) end
  end
  for row in string.gmatch(item.near_rows, '%d+') do
    if numbers[tonumber(row)] then join(item.n, numbers[tonumber(row)]) end
  end
end

for _, item in ipairs(committed) do
  if not item.present then join_near_copies(item) end
end

local moving = { string.match(record('moving') or '', '^(%d+) (%w+)') }

-- The code of the picture's Label; one that is being merged or deleted counts as the Label that replaces it.
local function label_of(picture)
  if tostring(picture.label) ~= moving[1] then return picture.label end
  return tonumber(moving[2]) or 0
end

for _, item in ipairs(committed) do
  local picture, imported = read(item.n), { outcome = item.present and 'present' or 'added', picture = item.n }
  local label, code = label_of(picture), item.label ~= '' and code_of(item.label)
  local can_label = item.label ~= '' and label == 0
  if can_label and not code and not has_room_for_labels(1, most_labels) then
    fail(id, item, no_label)
  else
    if can_label then
      changed = give_label(picture, code or add_label(item.label)) or changed
    elseif item.label ~= '' and label ~= code then
      imported.outcome, imported.label = 'conflict', redis.call('HGET', place('labels'), label - 1)
    end
    finish(id, item.key, 'succeeded', cjson.encode({ state = 'succeeded', imported = imported }), '')
  end
end

if #added > 0 then
  redis.call('RPUSH', place('blocks'), chunk .. ' ' .. first .. ' ' .. rows)
  redis.call('HINCRBY', place(), 'next', rows)
  for item in items() do
    if item.row and not is_added[item.row] then remove_bytes(first + item.row, item.rest) end
  end
end
if changed or #added > 0 then save() end
local result = { 'committed', added, failed }
end_commit(chunk, id, total, cjson.encode(result))
if TERMINAL[redis.call('HGET', key(id), 'state')] then redis.call('SREM', place('jobs'), id) end
return result
