"""Redis Sentinel under the whole service: the primary dies in the middle of a job."""

from __future__ import annotations

import signal
from itertools import islice
from pathlib import Path

from cli.stack.embedded_redis import redis_server_path
from tests.faults.checks import Expected, check_results
from tests.faults.kit import archive, arena_in
from tests.sentinels_kit import ESCAPED, PASSWORD, running_sentinels

#: Pictures of a job after the failover.
FEW = 40


def test_the_primary_dies_in_the_middle_of_a_job(tmp_path: Path, model: Path, expected: Expected) -> None:
    """Given its replica has what was accepted, Then the job ends with each picture once, and so does another one."""
    (tmp_path / "redis").mkdir()
    with (
        running_sentinels(redis_server_path(), tmp_path / "redis") as site,
        arena_in(tmp_path / "service", model, redis_url=site.url) as arena,
    ):
        job_id = arena.submit()
        arena.begun(job_id)
        site.fail_over(signal.SIGKILL)
        check_results(arena, job_id, expected)
        check_results(arena, arena.submit(archive(FEW)), dict(islice(expected.items(), FEW)))
        log = arena.service.log()
        assert PASSWORD not in log and ESCAPED not in log
