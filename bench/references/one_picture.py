"""Read, decode and classify each picture alone, on all cores.

python -m bench.references.one_picture DATA_FOLDER VERSION PICTURES

Each line on stdin runs one round, which prints the seconds for each picture.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from bench.references.loading import MAX_PIXELS, load
from worker.data.decode import decode
from worker.serving.models import LoadedModel


def seconds(model: LoadedModel, path: Path) -> float:
    """Classify one picture, and return the seconds."""
    shape, begin = model.card.input, time.perf_counter()
    model.forward(decode(path.read_bytes(), shape.height, shape.width, MAX_PIXELS)[None])
    return time.perf_counter() - begin


def main() -> None:
    """Run a round for each line on stdin."""
    data_folder, version, pictures = sys.argv[1:]
    model, paths = load(Path(data_folder), version), sorted(Path(pictures).iterdir())
    print(json.dumps(seconds(model, paths[0])), flush=True)  # warms up
    for _ in sys.stdin:
        print(json.dumps([seconds(model, path) for path in paths]), flush=True)


if __name__ == "__main__":
    main()
