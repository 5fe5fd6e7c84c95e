-- ARGV: version, the revision that the champion must have ('' for any), the version that serves where nobody chose, token.
-- Makes the version the champion. A repeat of the same call, which has the same token, changes nothing.
-- Answers set, same where it is the champion already, or changed where the revision is another one.
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
