"""Cost of syncing Redis to disk: DARKROOM_REDIS_FSYNC=always against everysec.

DARKROOM_CIFAR10=cifar10.npz python -m bench.fsync --repeats 3

Alternates between the two, each with a new service: 2,000 single PUTs into an open job by 8 clients, 10,000 pictures in
a zip (until the 202; classifying takes the same time in both), and 100 single pictures with `Prefer: wait`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from bench.files import archive, pngs
from bench.service import Service, running_service

MODES = ("everysec", "always")
SINGLE, PUT, ZIPPED, CLIENTS = 100, 2_000, 10_000, 8


def put_all(service: Service, pictures: list[bytes]) -> float:
    """Put pictures into an open job concurrently, and return pictures per second."""
    http = service.http
    job_id = http.post("/v1/jobs", json={"kind": "classification"}).json()["id"]

    def one(number: int) -> None:
        path, headers = f"/v1/jobs/{job_id}/items/{number}", {"Content-Type": "image/png"}
        http.put(path, content=pictures[number], headers=headers).raise_for_status()

    begin = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(one, range(len(pictures))))
    took = time.perf_counter() - begin
    http.post(f"/v1/jobs/{job_id}/seal").raise_for_status()
    service.wait_until_done(job_id)
    return len(pictures) / took


def run(mode: str) -> dict[str, float]:
    """Measure one mode, and return the figures by name."""
    pictures = pngs(ZIPPED)
    content = archive(pictures)
    with running_service(redis_fsync=mode) as service:
        singles = [service.one(pictures[n]) * 1000 for n in range(SINGLE)]
        put = put_all(service, pictures[:PUT])
        begin = time.perf_counter()
        service.submit(content)
        zipped = len(pictures) / (time.perf_counter() - begin)
    figures = {"one picture, ms": statistics.median(singles), "put one by one, /s": put, "zip, /s": zipped}
    print(f"{mode:10}" + "".join(f"   {name} {figure:.1f}" for name, figure in figures.items()), flush=True)
    return figures


def main() -> None:
    """Print the figures of each run, and the ratios of the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each mode (default: 3)")
    options = parser.parse_args()
    runs = [{mode: run(mode) for mode in MODES} for _ in range(options.repeats)]
    for name in runs[0]["always"]:
        medians = [statistics.median(each[mode][name] for each in runs) for mode in MODES]
        print(f"{name}: always / everysec {medians[1] / medians[0]:.2f}")


if __name__ == "__main__":
    main()
