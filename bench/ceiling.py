"""What one Redis, one web process and one reconciler carry: workers that do nothing are never what is waited for.

A program's figure is what a whole core of it would carry: pictures by the seconds of its processor time. So it does not
depend on how many cores the programs share here.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import files
from bench.stack import Idle, Stack, running_stack
from bench.table import Figures, Goal, Row, ratio
from shared.domain.entities import CLASSIFICATION_QUEUES
from shared.jobs.chunks import HEARTBEAT_S
from shared.jobs.workers import Worker
from shared.redis import keys

#: Pictures of a zip; jobs of one picture, and clients that send them.
PICTURES, JOBS, CLIENTS = 20_000, 1_000, 8
#: Bytes of a record like those of an item and its outcome together, and records in a pipeline of the reference.
RECORD_BYTES, PIPELINE = 400, 256
#: Live workers whose heartbeats are measured.
WORKERS = 1_000
#: Workers that take a second for each chunk of few pictures, as for photos, and pictures that they get.
BUSY = Idle(machines=4, processes=16, items=8, seconds=1.0)
BUSY_PICTURES = 16_384
#: Share of their time, in percent.
KEPT_BUSY = Goal(90)
POLL_S = 0.2


def rows(repeats: int, _seed_model: Path) -> Iterator[Row]:
    """Measure the programs with one archive and with jobs of one picture, then many workers."""
    pngs = files.pngs(PICTURES)
    with running_stack(Idle()) as stack:
        stack.service.wait_until_done(stack.service.submit(files.archive(pngs)))
        yield from _archives(stack, files.archive(pngs), repeats)
        yield from _singles(stack, pngs[:JOBS], repeats)
        yield from _heartbeats(stack, repeats)
    with running_stack(BUSY) as stack:
        yield from _kept_busy(stack, files.archive(pngs[:BUSY_PICTURES]), repeats)


def _archives(stack: Stack, archive: bytes, repeats: int) -> Iterator[Row]:
    """Measure jobs of many pictures: each program's part, reading the results, and the removal."""
    names = ("redis", "web", "worker-0", "reconcile")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    took, sets, bare, read, removed = [], [], [], [], []
    for _ in range(repeats):
        before, begin = {name: stack.used_s(name) for name in names}, time.perf_counter()
        job_id = stack.service.submit(archive)
        stack.service.wait_until_done(job_id)
        took.append(PICTURES / (time.perf_counter() - begin))
        for name in names:
            seconds[name].append(stack.used_s(name) - before[name])
        sets.append(_sets(stack))
        bare.append(_bare(archive))
        before_read = stack.used_s("web")
        stack.service.results(job_id, PICTURES)
        read.append(PICTURES / (stack.used_s("web") - before_read))
        removed.append(PICTURES / _removal_s(stack, [job_id]))
    yield Row(f"{PICTURES:,} PNGs in a zip, with workers that do nothing", Figures(took, "images/s"))
    web, redis, worker = (_per_core(seconds[name]) for name in ("web", "redis", "worker-0"))
    yield ratio("a core of Redis", redis, "SETs of records in a pipeline", Figures(sets, "/s"))
    yield ratio("a core of web", web, "only unzipped, hashed and written", Figures(bare, "images/s"))
    yield Row("a core of web, reading the results", Figures(read, "images/s"))
    yield Row("a core of a worker, claiming and committing", worker)
    busy = [100 * used * speed / PICTURES for used, speed in zip(seconds["reconcile"], took, strict=True)]
    yield Row("reconciler meanwhile", Figures(busy, "% of a core"))
    yield Row("removed by one reconciler, a large job", Figures(removed, "images/s"))


def _per_core(seconds: Sequence[float]) -> Figures:
    return Figures([PICTURES / max(each, 0.01) for each in seconds], "images/s")


def _sets(stack: Stack) -> float:
    """Return how many records a core of Redis stores in a second, without any script."""
    record, client = "x" * RECORD_BYTES, stack.parts.redis
    before = stack.used_s("redis")
    for start in range(0, PICTURES, PIPELINE):
        pipeline = client.pipeline(transaction=False)
        for number in range(start, start + PIPELINE):
            pipeline.set(f"bench:{number}", record)
        pipeline.execute()
    speed = PICTURES / max(stack.used_s("redis") - before, 0.01)
    client.unlink(*(f"bench:{number}" for number in range(PICTURES + PIPELINE)))
    return speed


def _bare(archive: bytes) -> float:
    """Return the pictures per second of processor time that a loop unzips, hashes and writes."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(archive)) as entries:
        begin = time.process_time()
        for name in entries.namelist():
            content = entries.read(name)
            (Path(folder) / f"{name}-{hashlib.sha256(content).hexdigest()}").write_bytes(content)
        return PICTURES / (time.process_time() - begin)


def _removal_s(stack: Stack, job_ids: Sequence[str]) -> float:
    """Return the seconds until the reconciler has removed these jobs, which expire now."""
    redis, begin = stack.parts.redis, time.perf_counter()
    redis.zadd(keys.EXPIRING, dict.fromkeys(job_ids, 0))
    while any(redis.zscore(name, job_id) is not None for name in (keys.EXPIRING, keys.REMOVING) for job_id in job_ids):
        time.sleep(POLL_S / 10)
    return time.perf_counter() - begin


def _singles(stack: Stack, pngs: Sequence[bytes], repeats: int) -> Iterator[Row]:
    """Measure jobs of one picture each."""
    web, redis, removed, bare = [], [], [], []
    for _ in range(repeats):
        before = stack.used_s("web"), stack.used_s("redis")
        sent = _send(stack, pngs)
        for job_id in sent:
            stack.service.wait_until_done(job_id)
        web.append(JOBS / (stack.used_s("web") - before[0]))
        redis.append(JOBS / (stack.used_s("redis") - before[1]))
        removed.append(JOBS / 2 / _removal_s(stack, sent[::2]))
        begin = time.perf_counter()
        for job_id in sent[1::2]:
            stack.parts.store.remove(job_id)
            stack.parts.delete_bytes(job_id)
        bare.append(JOBS / 2 / (time.perf_counter() - begin))
    yield Row("jobs of one picture, each asked for once: a core of web", Figures(web, "jobs/s"))
    yield Row("the same: a core of Redis", Figures(redis, "jobs/s"))
    yield ratio("removed by one reconciler, jobs of one picture", Figures(removed, "jobs/s"), "without its rounds",
                Figures(bare, "jobs/s"))  # fmt: skip


def _send(stack: Stack, pngs: Sequence[bytes]) -> list[str]:
    """Post each picture as a job, by CLIENTS clients, and return the jobs."""
    url, headers = stack.service.http.base_url, {"Content-Type": "image/png"}

    def client(mine: Sequence[bytes]) -> list[str]:
        connection, found = http.client.HTTPConnection(url.host, url.port, timeout=60), []
        for png in mine:
            connection.request("POST", "/v1/jobs", png, headers)
            found.append(json.loads(connection.getresponse().read())["id"])
        connection.close()
        return found

    with ThreadPoolExecutor(CLIENTS) as pool:
        found = pool.map(client, [pngs[n::CLIENTS] for n in range(CLIENTS)])
        return [job_id for each in found for job_id in each]


def _heartbeats(stack: Stack, repeats: int) -> Iterator[Row]:
    """Measure what the heartbeats of many workers cost Redis, and a list of them."""
    parts, shares, lists = stack.parts, [], []
    workers = [Worker(f"machine-{n // 4}:{n}:bench", CLASSIFICATION_QUEUES, "a-version") for n in range(WORKERS)]
    for _ in range(repeats):
        before = stack.used_s("redis")
        for worker in workers:
            parts.chunks.renew(worker.name)
            parts.workers.record_heartbeat(worker)
            for queue in CLASSIFICATION_QUEUES:
                parts.messenger.message_count(queue)
        shares.append(100 * (stack.used_s("redis") - before) / HEARTBEAT_S)
        begin = time.perf_counter()
        parts.workers.alive()
        lists.append(1000 * (time.perf_counter() - begin))
    for worker in workers:
        parts.workers.remove(worker.name)
    yield Row(f"heartbeats of {WORKERS:,} workers", Figures(shares, "% of a core of Redis"))
    yield Row(f"the list of {WORKERS:,} workers", Figures(lists, "ms"))


def _kept_busy(stack: Stack, archive: bytes, repeats: int) -> Iterator[Row]:
    """Measure how much of their time workers have a chunk, from the end of an upload to the last tenth of its job."""
    count, speeds, connections = BUSY.machines * BUSY.processes, [], []
    for _ in range(repeats):
        job_id = stack.service.submit(archive)
        begin, before = time.perf_counter(), _classified(stack, job_id)
        while (now := _classified(stack, job_id)) < BUSY_PICTURES * 0.9:
            time.sleep(POLL_S)
        speeds.append((now - before) / (time.perf_counter() - begin))
        connections.append(stack.parts.redis.info("clients")["connected_clients"] / count)
        stack.service.wait_until_done(job_id)
    most = count * BUSY.items / BUSY.seconds
    shares = Figures([100 * speed / most for speed in speeds], "%")
    ours, theirs = Figures(speeds, "images/s"), Figures([most], "images/s")
    yield Row(
        f"{count} workers, a second for each {BUSY.items} pictures", ours, "if none waits", theirs, shares, KEPT_BUSY
    )
    yield Row("connections to Redis for each of them", Figures(connections, ""))


def _classified(stack: Stack, job_id: str) -> int:
    return int(stack.service.job(job_id)["counts"]["succeeded"])
