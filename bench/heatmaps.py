"""Time from the request for a heatmap to its PNG, for versions that are in memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from bench import files
from bench.service import Service, running_service
from bench.table import Figures, Goal, Row

#: Photos in each job, of 1 to 12 megapixels.
PHOTOS = 12
#: Classifiers whose heatmaps are exact, and by occlusion.
CLASSIFIERS = {"everyday": "exact", "cifar10": "by occlusion"}
GOAL = Goal(300, at_least=False)


def rows(repeats: int, _seed_model: Path) -> Iterator[Row]:
    """Measure ms for one heatmap after the other, of photos that have just been classified."""
    archive = files.archive(files.photos(PHOTOS), "jpg")
    with running_service() as service:
        for classifier, how in CLASSIFIERS.items():
            _seconds(service, archive, classifier)
            found = [_seconds(service, archive, classifier) for _ in range(repeats)]
            medians = Figures([statistics.median(times) * 1000 for times in found], "ms")
            yield Row(f"heatmap of a photo, {how}, median", medians, goal=GOAL)


def _seconds(service: Service, archive: bytes, classifier: str) -> list[float]:
    """Classify the photos, and return the seconds for the heatmap of each."""
    job_id, times = service.submit(archive, classifier=classifier), []
    service.wait_until_done(job_id)
    for item in service.http.get(f"/v1/jobs/{job_id}/results").raise_for_status().json()["data"]:
        begin = time.perf_counter()
        service.http.get(f"/v1/jobs/{job_id}/items/{item['key']}/heatmap").raise_for_status()
        times.append(time.perf_counter() - begin)
    return times
