-- ARGV: lease_ms, patience_ms, tries_ms, models that the worker lacks. Takes the heatmap that has waited longest, unless
-- nobody has asked for it within patience_ms, and marks it as being made for lease_ms.
-- Returns {heatmap, number of times it was taken within tries_ms}, or {} if none is waited for. If the first response of
-- a repeated call was lost, its heatmap is asked for again after lease_ms.
local HEATMAPS = 'darkroom:heatmaps'
local lacking = {}
for n = 4, #ARGV do lacking[ARGV[n]] = true end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', HEATMAPS, now_ms() - ARGV[2], '+inf', 'LIMIT', 0, 100)) do
  if not lacking[string.match(id, '[^:]+')] then
    local being_made = 'darkroom:heatmap:' .. id
    local tries = (redis.call('GET', being_made .. ':tries') or 0) + 1
    redis.call('SET', being_made .. ':tries', tries, 'PX', ARGV[3])
    redis.call('SET', being_made, '', 'PX', ARGV[1])
    redis.call('ZREM', HEATMAPS, id)
    return { id, tries }
  end
end
return {}
