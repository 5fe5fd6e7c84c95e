"""Measure the service against references on this machine, and print a table.

All benchmarks take about half an hour on two idle cores. Figures are the median of the repeats with their range; ratios
are computed within each repeat.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench import bulk, ceiling, champion, classes, forward, heatmaps, online, queue, single, status, storage, workers
from bench.service import ROOT
from bench.table import Row, heading, line
from shared.domain.errors import DarkroomError
from worker import hardware
from worker.data.datasets import load_cifar10

Benchmark = Callable[[int, Path], Iterator[Row]]

BENCHMARKS: dict[str, Benchmark] = {
    "bulk": bulk.fast,
    "seed": bulk.seed,
    "photos": bulk.photos,
    "champion": champion.rows,
    "forward": forward.rows,
    "single": single.rows,
    "online": online.rows,
    "status": status.rows,
    "polling": status.polling,
    "workers": workers.rows,
    "queue": queue.rows,
    "heatmaps": heatmaps.rows,
    "storage": storage.rows,
    "ceiling": ceiling.rows,
}


#: The benchmark that needs pictures of its own, with `--pictures`.
CLASSES = "classes"


def main() -> None:
    """Run the benchmarks that were named."""
    parser = argparse.ArgumentParser(prog="darkroom bench", description=__doc__)
    parser.add_argument(
        "benchmarks",
        nargs="*",
        metavar="BENCHMARK",
        help=f"benchmarks to run: {', '.join([*BENCHMARKS, CLASSES])}; default: all but {CLASSES}",
    )
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help=f"for {CLASSES}: a folder for each class")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    options = parser.parse_args()
    for name in options.benchmarks:
        if name not in (*BENCHMARKS, CLASSES):
            parser.error(f"unknown benchmark {name!r}; choose from {', '.join([*BENCHMARKS, CLASSES])}")
    if CLASSES in options.benchmarks and not (options.pictures and options.pictures.is_dir()):
        parser.error(f"{CLASSES} needs --pictures FOLDER, a folder with a folder for each class")
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    try:
        load_cifar10()
    except (DarkroomError, OSError) as error:
        sys.exit(f"darkroom bench: {error}")
    rows = list(_run(options.benchmarks or list(BENCHMARKS), options.repeats, options.pictures))
    if options.json:
        options.json.write_text(json.dumps({**_machine(), "rows": [row.as_json() for row in rows]}, indent=2) + "\n")


def _run(names: list[str], repeats: int, pictures: Path | None) -> Iterator[Row]:
    print(heading(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        seed_model = Path(folder) / "seed.h5"
        command = [sys.executable, "-m", "bench.references.network", str(seed_model)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        benchmarks = dict(BENCHMARKS)
        if pictures is not None:
            benchmarks[CLASSES] = lambda repeats, _: classes.rows(pictures, repeats)
        for name in names:
            for row in benchmarks[name](repeats, seed_model):
                print(line(row.cells()), flush=True)
                yield row


def _machine() -> dict[str, object]:
    return {"date": datetime.now(UTC).isoformat(), "cores": hardware.cores(), "machine": platform.platform()}


if __name__ == "__main__":
    main()
