"""What Redis's errors mean, and what to do about it. They name no host, user or password."""

from __future__ import annotations

import re

import redis

#: By the code in the error: what is wrong with Redis, and what to do.
MEANINGS = {
    "BUSY": "runs a script that does not end: wait, or end it with SCRIPT KILL",
    "CLUSTERDOWN": "is a Redis Cluster, and Darkroom needs a single Redis",
    "CROSSSLOT": "is a Redis Cluster, and Darkroom needs a single Redis",
    "DENIED": "is in protected mode: give it a password, and put the password into the URL",
    "LOADING": "is loading its data: wait",
    "MASTERDOWN": "is a replica that has lost its primary: start the primary, or use its URL",
    "MISCONF": "cannot write to its disk: free some space, and see its log",
    "MOVED": "is a Redis Cluster, and Darkroom needs a single Redis",
    "NOAUTH": "requires a password: put it into the URL",
    "NOPERM": "does not allow its user all commands, keys and channels: extend the user's ACL",
    "NOREPLICAS": "accepts no writes because replicas are missing: start them, or lower min-replicas-to-write",
    "OOM": "is out of memory: delete jobs, or raise its maxmemory",
    "READONLY": "is a read-only replica: use the URL of its primary",
    "WRONGPASS": "does not accept the password in the URL, or its user",
}
#: The same by a part of the text, for errors without one of these codes.
TEXTS = {
    "CERTIFICATE_VERIFY_FAILED": "has a certificate that is not trusted: add ?ssl_ca_certs=FILE to the URL",
    "WRONG_VERSION_NUMBER": "does not use TLS: write redis:// instead of rediss://",
    "handshake operation timed out": "does not answer with TLS in time: if it uses none, write redis:// and not rediss://",
    "DB index is out of range": "does not have the database in the URL: raise its setting `databases`",
    "EXEC without MULTI": "does not allow its user the command MULTI: extend the user's ACL (NOPERM, MULTI)",
    "Protocol Error": "is not a Redis server: another program listens there",
    "No master found": "has no primary that its Sentinels know: wait for the failover, or check them and ?master=NAME",
    "max number of clients": "has no connection left: raise its maxclients",
}
#: Texts of NOPERM in a script.
ACL = re.compile(r"ACL failure in script|executing the script can't")
CODE = re.compile(rf"\b({'|'.join(MEANINGS)})\b")
COMMAND = re.compile(r"(?:'(\S+)' command|unknown command '(\S+)')")


def meaning(error: redis.RedisError) -> str:
    """Return what an error says about Redis, such as "is loading its data: wait (LOADING)", to follow its name."""
    if isinstance(error, redis.WatchError) and isinstance(error.__context__, redis.RedisError):
        error = error.__context__  # during a transaction, redis-py hides why the connection has ended
    cause = error.__context__ if isinstance(error, redis.TimeoutError) else ""  # redis-py's own text has less
    text = f"{getattr(error, 'status_code', None) or ''} {error} {cause}"
    code = "NOPERM" if ACL.search(text) else next(iter(CODE.findall(text)), None)
    command = next((name for names in COMMAND.findall(text) for name in names if name), None)
    if code is not None:
        lacking = f", {command.upper()}" if command and code == "NOPERM" else ""
        return f"{MEANINGS[code]} ({code}{lacking})"
    if command and command.upper() == "SENTINEL":
        return "is a server and not a Sentinel: write redis:// instead of sentinel://, and leave out ?master="
    if command:
        return f"does not know the command {command.upper()}: Darkroom needs Redis 7, or Valkey"
    found = next((meaning for part, meaning in TEXTS.items() if part.lower() in text.lower()), None)
    if found or not isinstance(error, (redis.ConnectionError, redis.TimeoutError)):
        return found or "refuses a command; the log says which and why"
    return "does not answer in time" if isinstance(error, redis.TimeoutError) else "cannot be reached"
