#!/bin/sh
# Writes secret.env beside this file, with new passwords, and prints the key of the first user. Add the credentials of S3
# to it, unless the nodes have a role: AWS_ACCESS_KEY_ID=… and AWS_SECRET_ACCESS_KEY=…
set -eu
file=$(dirname "$0")/secret.env
[ ! -e "$file" ] || { echo "$file exists already" >&2; exit 1; }
random() { head -c 32 /dev/urandom | od -A n -t x1 | tr -d ' \n'; }
password=$(random) key=darkroom_$(random)
umask 077
cat > "$file" <<END
REDIS_PASSWORD=$password
DARKROOM_REDIS_URL=redis://:$password@redis:6379/0
DARKROOM_API_KEYS=admin:$key:admin
END
echo "$key"
