"""Random faults between machines: `python -m tests.faults.machines --rounds 200 --seed 1`.

Jobs run all the time, and each is checked as in the other tests. With --control the storage loses a picture of each
job, and the run must fail.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from tests.conftest import NO_TLS, wait_until
from tests.faults.checks import Expected, check_answer, expected_of
from tests.faults.kit import ENDS_S, MIB, PatientClient, archive, pictures
from tests.faults.proxy import Proxy
from tests.faults.site import BUCKET, Site, s3, site_in
from tests.faults.tiny import tiny_network
from tests.integration.helpers import results
from tests.shared.redis.test_refusals import REFUSALS

#: Pictures of a job, jobs at a time, and seconds within which a job goes on after a fault.
PICTURES, JOBS, PROGRESS_S = 500, 2, 20
#: Seconds of each kind of fault; one in twenty disconnections is long.
CUT_S, LONG_CUT_S, REDIS_PAUSE_S, STORAGE_PAUSE_S, REFUSED_S, FULL_S = 30, 300, 15, 20, 5, 15


def disconnect(site: Site, chance: random.Random) -> None:
    """Disconnect a worker machine from everything."""
    machine = chance.choice(site.workers)
    with switched(machine.redis), switched(machine.storage):
        time.sleep(chance.choice([CUT_S] * 19 + [LONG_CUT_S]))


def disconnect_from_storage(site: Site, chance: random.Random) -> None:
    """Disconnect a machine from S3 only."""
    with switched(chance.choice([site.front, *site.workers]).storage):
        time.sleep(STORAGE_PAUSE_S)


@contextmanager
def switched(proxy: Proxy) -> Iterator[None]:
    """Cut the connection off while the block runs."""
    proxy.is_cut_off = True
    try:
        yield
    finally:
        proxy.is_cut_off = False


def kill_machine(site: Site, chance: random.Random) -> None:
    """Kill everything on a worker machine and start it again."""
    machine = chance.choice(site.workers)
    machine.kill()
    machine.start()


def pause_redis(site: Site, _chance: random.Random) -> None:
    """Stop Redis for longer than a lease."""
    assert site.redis is not None
    pause(site.redis, REDIS_PAUSE_S)


def pause_storage(site: Site, _chance: random.Random) -> None:
    """Stop S3, which then accepts connections and never answers."""
    pause(site.storage, STORAGE_PAUSE_S)


def pause(process: psutil.Process, seconds: float) -> None:
    process.suspend()
    try:
        time.sleep(seconds)
    finally:
        process.resume()


def restart_redis(site: Site, _chance: random.Random) -> None:
    """Kill Redis and start it again on its file."""
    site.kill_redis()
    site.start_redis()


def refuse(site: Site, chance: random.Random) -> None:
    """Let Redis refuse everything that one machine asks for."""
    proxy = chance.choice([site.front, *site.workers]).redis
    proxy.refusal = chance.choice(list(REFUSALS))
    try:
        time.sleep(REFUSED_S)
    finally:
        proxy.refusal = ""


def fill_disk(site: Site, chance: random.Random) -> None:
    """Use up the disk of a worker machine, on which it keeps models, and start its processes anew on it."""
    machine = chance.choice(site.workers)
    full = machine.folder / "full"
    with suppress(OSError), full.open("wb") as file:
        while file.write(bytes(MIB)):
            pass
    try:
        kill_machine(site, random.Random(site.workers.index(machine)))
        time.sleep(FULL_S)
    finally:
        full.unlink()


def step_clock(site: Site, chance: random.Random) -> None:
    """Set the clock of a machine an hour ahead or back."""
    chance.choice([site.front, *site.workers]).step_clock(chance.choice([-3600, 0, 3600]))


Fault = Callable[[Site, random.Random], None]
FAULTS: tuple[Fault, ...] = (
    disconnect,
    disconnect_from_storage,
    kill_machine,
    pause_redis,
    pause_storage,
    restart_redis,
    refuse,
    fill_disk,
    step_clock,
)


class Feeder:
    """Jobs all the time, each of which is checked when it has ended."""

    def __init__(self, site: Site, expected: Expected, control: bool) -> None:
        self._site, self._expected, self._control = site, expected, control
        self._over = threading.Event()
        self._client = PatientClient(base_url=site.url, timeout=60, trust_env=False, verify=NO_TLS)
        self._client.event_hooks["response"].append(self._look)
        self.statuses: Counter[int] = Counter()
        self.pictures = self.crashed = 0

    def _look(self, response: httpx.Response) -> None:
        self.statuses[response.status_code] += 1
        assert response.status_code in (200, 201, 202, 204, 404, 503), f"{response.request.url}: {response.status_code}"

    def run(self) -> None:
        with self._client:
            while not self._over.is_set():
                self._job()

    def stop(self) -> None:
        self._over.set()

    def _job(self) -> None:
        headers = {"Content-Type": "application/zip"}
        job_id = self._client.post("/v1/jobs", content=archive(PICTURES), headers=headers).json()["id"]
        if self._control:
            lose_a_picture(self._site, job_id)
        while failed := self._ended(job_id)["counts"]["failed"]:
            found = {item["error"]["code"] for item in results(self._client, job_id, state="failed")}
            assert found == {"crashed"}, f"{failed} pictures of job {job_id} failed: {found}"
            self._client.post(f"/v1/jobs/{job_id}/retry")
            self.crashed += failed
        items = results(self._client, job_id, limit=1000)
        assert sorted(item["filename"] for item in items) == sorted(self._expected), "lost or doubled"
        for item in items:
            check_answer(item, self._expected[item["filename"]])
        self._client.delete(f"/v1/jobs/{job_id}")
        self.pictures += len(items)

    def _ended(self, job_id: str) -> dict:
        def job() -> dict | None:
            found = self._client.get(f"/v1/jobs/{job_id}").json()
            return found if found["done"] else None

        return wait_until(job, f"{job_id} is over", ENDS_S, every=0.5)


def lose_a_picture(site: Site, job_id: str) -> None:
    """Delete a stored picture, as a storage that loses writes would."""
    client = s3(site.storage_port)
    found = client.list_objects_v2(Bucket=BUCKET, Prefix=f"x/jobs/{job_id}/", MaxKeys=PICTURES)["Contents"]
    client.delete_object(Bucket=BUCKET, Key=found[-1]["Key"])


class Run:
    """A schedule of faults at a site."""

    def __init__(self, site: Site, chance: random.Random) -> None:
        self._site, self._chance, self._began = site, chance, time.monotonic()
        self.done: Counter[str] = Counter()
        self.slowest_s = 0.0

    def hurt(self, rounds: int, feeding: Sequence[Future[None]]) -> None:
        """Cause the faults one after another; before and after each, wait until items end."""
        self._progress_s(feeding)
        for number in range(1, rounds + 1):
            if any(feeder.done() for feeder in feeding):
                return  # it has failed, and its exception says how
            fault = self._chance.choice(FAULTS)
            fault(self._site, self._chance)
            again_s = self._progress_s(feeding)
            self.slowest_s = max(self.slowest_s, again_s)
            self.done[fault.__name__] += 1
            at_s = time.monotonic() - self._began
            print(f"{at_s:7.1f} s  {number:4}  {fault.__name__}, progress after {again_s:.1f} s", flush=True)

    def _progress_s(self, feeding: Sequence[Future[None]]) -> float:
        """Return the seconds until more items have ended."""
        before, began = self._site.done(), time.monotonic()
        while self._site.done() == before and not any(feeder.done() for feeder in feeding):
            time.sleep(0.1)
            assert time.monotonic() - began < ENDS_S, "nothing goes on"
        return time.monotonic() - began


def run(rounds: int, seed: int, *, control: bool) -> None:
    """Cause the faults while jobs run, and check everything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = tiny_network(folder / "tiny")
        expected = expected_of(model, pictures(PICTURES))
        with site_in(folder, model) as site, ThreadPoolExecutor(JOBS) as pool:
            feeders = [Feeder(site, expected, control) for _ in range(JOBS)]
            feeding = [pool.submit(feeder.run) for feeder in feeders]
            schedule = Run(site, random.Random(seed))
            try:
                with suppress(KeyboardInterrupt):  # Ctrl-C ends the faults, and the jobs are still checked
                    schedule.hurt(rounds, feeding)
            finally:
                for feeder in feeders:
                    feeder.stop()
                print_logs(folder) if any(one.done() and one.exception() for one in feeding) else None
            for one in feeding:
                one.result()
    total = sum(feeder.pictures for feeder in feeders)
    statuses = sum((feeder.statuses for feeder in feeders), Counter())
    print(f"{schedule.done.total()} faults, {total:,} pictures: nothing lost, nothing twice; {dict(schedule.done)}")
    print(f"responses: {dict(statuses)}; slowest progress after {schedule.slowest_s:.1f} s")
    print(f"{sum(feeder.crashed for feeder in feeders)} pictures were given up as crashed, and done when retried")
    assert schedule.slowest_s < PROGRESS_S


def print_logs(folder: Path) -> None:
    for log in sorted(folder.glob("*.log")):
        print(log.name, *log.read_text().splitlines()[-20:], sep="\n")


def main() -> None:
    """Run, and print the seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, help="faults (default: 200)")
    parser.add_argument("--seed", type=int, default=None, help="of the schedule (default: another one each time)")
    parser.add_argument("--control", action="store_true", help="let the storage lose a picture of each job")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    run(options.rounds, seed, control=options.control)


if __name__ == "__main__":
    main()
