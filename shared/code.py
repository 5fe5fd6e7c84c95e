"""The code that a program runs. Machines of one service may run different versions side by side."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from shared.redis import keys
from shared.redis.connection import SCHEMA, Client, redis_errors

#: The release, as in pyproject.toml, which images do not have.
RELEASE = "0.1.0"
ROOT = Path(__file__).resolve().parent.parent
#: Folders and kinds of files that the digest is of: what workers run, and what they share with `web`.
FOLDERS, SUFFIXES = ("shared", "worker"), {".py", ".lua"}


@dataclass(frozen=True)
class Code:
    """`version` is the release and a digest of the source. `schema` is the newest schema of a Job that it knows."""

    version: str
    schema: int


@cache
def own_code() -> Code:
    """Return the code of this program, such as `0.1.0+5e0c1f9a3b2d`. The source is read once, in about 10 ms."""
    return Code(f"{RELEASE}+{digest(ROOT)}", SCHEMA)


def digest(root: Path) -> str:
    """Return 12 hex digits of the sha256 of the source in `root`."""
    files = sorted(path for name in FOLDERS for path in (root / name).rglob("*") if path.suffix in SUFFIXES)
    parts = (f"{path.relative_to(root)}\0".encode() + path.read_bytes() for path in files)
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def difference(mine: Code, services: Code | None) -> str | None:
    """Return how this machine's code differs from the service's, and what to do, in a line; None if it does not."""
    if services is None:
        return f"this machine runs Darkroom {mine.version}; the service is older and does not say which: update it"
    if mine == services:
        return None
    both = f"this machine runs Darkroom {mine.version}, and the service {services.version}"
    if mine.schema < services.schema:
        return f"{both}: until this machine is updated, it leaves Jobs of newer code to other machines"
    return f"{both}: update the older one"


class ServiceCode:
    """The code of the `web` process that started last. Both methods raise Unavailable."""

    def __init__(self, client: Client) -> None:
        self._redis = client

    @redis_errors()
    def record(self) -> None:
        """Record the code of this program as the service's."""
        self._redis.set(keys.CODE, json.dumps(asdict(own_code())))

    @redis_errors()
    def get(self) -> Code | None:
        """Return the service's code; None if it has not been recorded."""
        text = self._redis.get(keys.CODE)
        record = json.loads(text) if text else None
        return record and Code(record["version"], record["schema"])
