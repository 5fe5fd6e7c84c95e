"""A bare loop: read, decode and stack pictures, and one forward pass per batch.

python -m bench.references.bare_loop DATA_FOLDER VERSION PICTURES

Each line on stdin runs one round: `all` prints the seconds for all pictures, `one` those for each of the first pictures
alone.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.references.loading import MAX_PIXELS, load
from worker.data.decode import decode
from worker.serving.models import LoadedModel

#: Batch sizes to try, on this many pictures, and pictures that are timed alone.
BATCHES, TRIED, ALONE = (64, 256, 1024), 1024, 100


def loop(model: LoadedModel, paths: Sequence[Path], batch: int) -> float:
    """Classify all pictures, and return the seconds."""
    shape, begin = model.card.input, time.perf_counter()
    for start in range(0, len(paths), batch):
        files = (path.read_bytes() for path in paths[start : start + batch])
        model.forward(np.stack([decode(file, shape.height, shape.width, MAX_PIXELS) for file in files]))
    return time.perf_counter() - begin


def main() -> None:
    """Run a round for each line on stdin."""
    data_folder, version, pictures = sys.argv[1:]
    model, paths = load(Path(data_folder), version), sorted(Path(pictures).iterdir())
    loop(model, paths[:TRIED], BATCHES[0])
    best = min(BATCHES, key=lambda batch: loop(model, paths[:TRIED], batch))
    print(json.dumps({"batch": best}), flush=True)
    for line in sys.stdin:
        every = line.strip() == "all"
        print(json.dumps(loop(model, paths, best) if every else _alone(model, paths[:ALONE])), flush=True)


def _alone(model: LoadedModel, paths: Sequence[Path]) -> list[float]:
    return [loop(model, [path], 1) for path in paths]


if __name__ == "__main__":
    main()
