-- ARGV: owner, name. Removes the owner's classifier. Returns removed or missing.
redis.call('ZREM', 'darkroom:classifiers', ARGV[1] .. ':' .. ARGV[2])
redis.call('DEL', classifier_key(ARGV[1], ARGV[2]))
return redis.call('SREM', 'darkroom:classifiers:' .. ARGV[1], ARGV[2]) == 1 and 'removed' or 'missing'
