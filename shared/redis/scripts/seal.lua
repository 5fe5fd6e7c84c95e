-- ARGV: job. Closes the job to new items and queues a training job. An unlisted job (of a single request) becomes listed.
-- Returns missing, empty or sealed.
return seal(ARGV[1])
