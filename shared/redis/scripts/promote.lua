-- ARGV: owner ('' for a shipped classifier), name, version, expected revision ('' for any), the version that serves if
-- none was promoted ('' for none), token.
-- Makes the version the classifier's champion. A repeated call, which has the same token, changes nothing.
-- Returns set; same if it is the champion already; changed if the revision differs (a lost update); or missing.
local owner, classifier = ARGV[1], classifier_key(ARGV[1], ARGV[2])
local version, expected, token = ARGV[3], ARGV[4], ARGV[6]
if owner ~= '' and redis.call('EXISTS', classifier) == 0 then return 'missing' end
local now = redis.call('HMGET', classifier, 'version', 'revision', 'token')
if now[3] == token then return 'set' end
if expected ~= '' and expected ~= (now[2] or '0') then return 'changed' end
if now[1] == version then return 'same' end
local previous = now[1] or ARGV[5]
if previous == version then previous = '' end
redis.call('HSET', classifier, 'version', version, 'since', now_ms(), 'previous', previous, 'token', token)
redis.call('HINCRBY', classifier, 'revision', 1)
return 'set'
