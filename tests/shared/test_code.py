"""The version of the code: what it is made of, and how a machine's is compared with the service's."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from shared.code import RELEASE, Code, ServiceCode, difference, digest, own_code
from shared.jobs.workers import Worker, Workers
from shared.redis import keys
from shared.redis.connection import Client
from tests.conftest import ROOT

MINE = Code("0.1.0+aa", 2)


def test_the_version_is_the_release_and_a_digest() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == RELEASE
    assert re.fullmatch(r"\d+\.\d+\.\d+\+[0-9a-f]{12}", own_code().version)


def test_the_digest_is_of_names_and_contents_of_source(tmp_path: Path) -> None:
    (tmp_path / "shared" / "redis").mkdir(parents=True)
    file = tmp_path / "shared" / "a.py"
    digests = []
    for name, content in (("a.py", "1"), ("a.py", "2"), ("redis/a.lua", "2"), ("a.pyc", "3")):
        (tmp_path / "shared" / name).write_text(content)
        digests.append(digest(tmp_path))
    assert len(set(digests)) == 3 and digests[2] == digests[3]
    file.rename(tmp_path / "shared" / "b.py")
    assert digest(tmp_path) not in digests


@pytest.mark.parametrize(
    ("services", "told"),
    [
        (MINE, None),
        (None, "the service is older and does not say which"),
        (Code("0.2.0+bb", 2), f"Darkroom {MINE.version}, and the service 0.2.0+bb: update the older"),
        (Code("0.2.0+bb", 1), "update the older one"),
        (Code("0.2.0+bb", 3), "until this machine is updated, it leaves Jobs of newer code to other machines"),
    ],
)
def test_other_code_is_told_in_a_line(services: Code | None, told: str | None) -> None:
    line = difference(MINE, services)
    assert line == told if told is None or line is None else told in line and "\n" not in line


def test_the_service_and_its_workers_say_what_they_run(each_redis: Client) -> None:
    """A newer program may record more, and an older one less."""
    code, workers = ServiceCode(each_redis), Workers(each_redis)
    assert code.get() is None
    code.record()
    assert code.get() == own_code()
    each_redis.set(keys.CODE, '{"version": "9.0.0+c", "schema": 9, "more": true}')
    assert code.get() == Code("9.0.0+c", 9)
    workers.record_heartbeat(Worker("new:1:a", ("bulk",), None, (), MINE.version))
    record = each_redis.hget(keys.WORKERS, "new:1:a")
    older = record.replace("new:1:a", "old:1:a").replace(f', "code": "{MINE.version}"', "")
    newer = record.replace("new:1:a", "newer:1:a").replace('"code"', '"more": 1, "code"')
    each_redis.hset(keys.WORKERS, mapping={"old:1:a": older, "newer:1:a": newer})
    codes = {worker.host: worker.code for worker in workers.alive()}
    assert codes == {"new": MINE.version, "newer": MINE.version, "old": None}
