"""Clients that each send one picture after the other and wait for its result, against LitServe with the same model."""

from __future__ import annotations

import http.client
import itertools
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench import files
from bench.processes import form, server
from bench.service import running_service
from bench.table import Figures, Goal, Row, ratio

CLIENTS = (1, 8, 32, 128)
#: Seconds of one measurement, and distinct pictures.
MEASURED_S, PICTURES = 8.0, 1_000
NO_SLOWER, NO_LONGER = Goal(1.0), Goal(1.0, at_least=False)


@dataclass(frozen=True)
class Arm:
    """A server: its port, and how a picture is sent."""

    port: int
    path: str
    bodies: Sequence[bytes]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Seen:
    """Seconds of each request with a result, and how many got none."""

    times: list[float]
    refused: int

    @property
    def rate(self) -> float:
        """Return results per second."""
        return len(self.times) / MEASURED_S

    @property
    def p99_ms(self) -> float:
        """Return the 99th percentile in ms."""
        return statistics.quantiles(self.times, n=100)[-1] * 1000


def rows(repeats: int, _seed_model: Path) -> Iterator[Row]:
    """Measure results per second and the slowest of a hundred, for each number of clients."""
    pngs = files.pngs(PICTURES)
    media_type = f"multipart/form-data; boundary={files.BOUNDARY}"
    with (
        running_service() as service,
        server("bench.references.litserve_app", service.folder, service.champion()) as port,
    ):
        ours = Arm(
            service.http.base_url.port or 80, "/v1/jobs", pngs, {"Content-Type": "image/png", "Prefer": "wait=30"}
        )
        theirs = Arm(port, "/predict", [form(png) for png in pngs], {"Content-Type": media_type})
        for arm in (ours, theirs):
            measure(arm, CLIENTS[1])
        for clients in CLIENTS:
            found = [(measure(ours, clients), measure(theirs, clients)) for _ in range(repeats)]
            yield from _compared(f"{clients} client{'s' * (clients > 1)}, a picture each", found)


def _compared(name: str, found: Sequence[tuple[Seen, Seen]]) -> Iterator[Row]:
    rates = [Figures([seen.rate for seen in arm], "images/s") for arm in zip(*found, strict=True)]
    yield ratio(name, rates[0], "LitServe", rates[1], NO_SLOWER)
    slowest = [Figures([seen.p99_ms for seen in arm], "ms") for arm in zip(*found, strict=True)]
    yield ratio(f"{name}, p99", slowest[0], "LitServe", slowest[1], NO_LONGER)
    refused = [float(mine.refused) for mine, _ in found]
    yield Row(f"{name}: told to ask again", Figures(refused, "requests"), goal=Goal(0, at_least=False))


def measure(arm: Arm, clients: int) -> Seen:
    """Let the clients send pictures for MEASURED_S."""
    end = time.perf_counter() + MEASURED_S

    def client(number: int) -> Seen:
        times, refused = list[float](), 0
        connection = http.client.HTTPConnection("127.0.0.1", arm.port, timeout=60)
        for body in itertools.islice(itertools.cycle(arm.bodies), number, None, clients):
            begin = time.perf_counter()
            if begin > end:
                break
            connection.request("POST", arm.path, body, dict(arm.headers))
            answer = connection.getresponse()
            answer.read()
            if answer.status == http.client.OK:
                times.append(time.perf_counter() - begin)
            else:
                refused += 1
        connection.close()
        return Seen(times, refused)

    with ThreadPoolExecutor(clients) as pool:
        seen = list(pool.map(client, range(clients)))
    return Seen([took for each in seen for took in each.times], sum(each.refused for each in seen))
