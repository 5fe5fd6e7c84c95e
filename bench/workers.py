"""One worker process that uses all cores, against one process per core."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench import files
from bench.service import Service, running_service
from bench.table import Figures, Row, ratio
from worker import hardware

#: Pictures in each repeat.
PICTURES = 5_000


def rows(repeats: int, _seed_model: Path) -> Iterator[Row]:
    """Compare images per second of the whole service, and the workers' memory."""
    archive, many = files.archive(files.pngs(PICTURES)), hardware.cores()
    with running_service(classify_workers=1) as single, running_service(classify_workers=many) as several:
        for service in (single, several):
            _speed(service, archive)
        speeds = [(_speed(several, archive), _speed(single, archive)) for _ in range(repeats)]
        memory = several.memory()["worker"], single.memory()["worker"]
    one, (ours, theirs) = "one process", (Figures([pair[n] for pair in speeds], "images/s") for n in (0, 1))
    yield ratio(f"{many} worker processes", ours, one, theirs)
    yield Row(f"memory of {many} worker processes", Figures(memory[:1], "MB"), one, Figures(memory[1:], "MB"))


def _speed(service: Service, archive: bytes) -> float:
    begin = time.perf_counter()
    service.results(service.submit(archive), PICTURES)
    return PICTURES / (time.perf_counter() - begin)
