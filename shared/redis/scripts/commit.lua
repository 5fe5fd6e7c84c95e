-- ARGV: chunk, then for each item: key, state, outcome (JSON), score and label of the best prediction ('' without one;
-- the label is `unknown` if the answer is).
-- Commits the whole chunk, or nothing if the lease is lost. Returns committed or stale. A repeated call whose first
-- response was lost returns the same within a minute.
local chunk = ARGV[1]
if redis.call('EXISTS', committed_key(chunk)) == 1 then
  count('duplicate_commits')
  return 'committed'
end
local id = take_chunk(chunk)
if not id then return 'stale' end
for i = 2, #ARGV, 5 do
  finish(id, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
  if ARGV[i + 4] ~= '' then count_label(id, ARGV[i + 4], 1) end
  if ARGV[i + 1] == 'failed' then redis.call('SADD', key(id, 'retryable'), ARGV[i]) end
end
end_commit(chunk, id, (#ARGV - 1) / 5, 'committed')
return 'committed'
