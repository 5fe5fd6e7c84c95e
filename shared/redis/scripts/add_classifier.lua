-- ARGV: owner, name. Adds the owner's classifier, without a champion. A repeated call changes nothing.
redis.call('HSETNX', classifier_key(ARGV[1], ARGV[2]), 'created_at', now_ms())
redis.call('SADD', 'darkroom:classifiers:' .. ARGV[1], ARGV[2])
