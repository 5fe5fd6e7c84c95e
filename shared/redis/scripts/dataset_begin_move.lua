-- ARGV: dataset, call (a new id), label, the label that its pictures get ('' for none), delete ('1': they are deleted).
-- Deletes the label at once. `dataset_move` then moves its pictures, a batch at a time; meanwhile `moving` in the record has
-- the codes of both labels, or `delete`, and the call.
-- Returns begun, missing, unknown, unknown into, or busy while another label's pictures are being moved.
dataset = ARGV[1]
local call, name, into = ARGV[2], ARGV[3], ARGV[4]
if is_missing() then return 'missing' end
local moving = record('moving')
if moving then return string.find(moving, call, 1, true) and 'begun' or 'busy' end
local source, target = code_of(name), 0
if not source then return 'unknown' end
if into ~= '' then target = code_of(into) end
if not target then return 'unknown into' end
redis.call('HDEL', place('labels'), source - 1)
redis.call('HDEL', place('label-indices'), name)
redis.call('HSET', place(), 'moving', source .. ' ' .. (ARGV[5] == '1' and 'delete' or target) .. ' ' .. call)
unfinished()
dataset_changed()
return 'begun'
