-- ARGV: version, expected revision ('' for any), the version that serves if none was promoted, token.
-- Makes the version the champion. A repeated call, which has the same token, changes nothing.
-- Returns set; same if it is the champion already; or changed if the revision differs (a lost update).
local CHAMPION = 'darkroom:champion'
local version, expected, token = ARGV[1], ARGV[2], ARGV[4]
local now = redis.call('HMGET', CHAMPION, 'version', 'revision', 'token')
if now[3] == token then return 'set' end
if expected ~= '' and expected ~= (now[2] or '0') then return 'changed' end
if now[1] == version then return 'same' end
local previous = now[1] or ARGV[3]
if previous == version then previous = '' end
redis.call('HSET', CHAMPION, 'version', version, 'since', now_ms(), 'previous', previous, 'token', token)
redis.call('HINCRBY', CHAMPION, 'revision', 1)
return 'set'
