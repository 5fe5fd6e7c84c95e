-- ARGV: for each chunk its id and its number of items, then for each item: key, state, outcome (JSON), score and label of
-- the best prediction ('' without one; the label is `unknown` if the answer is).
-- Commits each whole chunk, or nothing of it if its lease is lost. Returns for each committed or stale. A repeated call
-- whose first response was lost returns the same within a minute.
local function commit(chunk, first, items)
  if redis.call('EXISTS', committed_key(chunk)) == 1 then
    count('duplicate_commits')
    return 'committed'
  end
  local id = take_chunk(chunk)
  if not id then return 'stale' end
  for i = first, first + 5 * (items - 1), 5 do
    finish(id, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
    if ARGV[i + 4] ~= '' then count_label(id, ARGV[i + 4], 1) end
    if ARGV[i + 1] == 'failed' then redis.call('SADD', key(id, 'retryable'), ARGV[i]) end
  end
  end_commit(chunk, id, items, 'committed')
  return 'committed'
end

local answers, place = {}, 1
while place < #ARGV do
  local items = tonumber(ARGV[place + 1])
  table.insert(answers, commit(ARGV[place], place + 2, items))
  place = place + 2 + 5 * items
end
return answers
