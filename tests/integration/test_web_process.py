"""The web process loads no TensorFlow and uses little memory."""

from __future__ import annotations

import random
import subprocess
import sys

import psutil

from tests.conftest import ROOT
from tests.fixtures import make
from tests.integration.helpers import files, finished

MAX_RSS = 120 * 1024 * 1024


def test_importing_the_app_loads_no_tensorflow():
    program = "import sys, web.app; print(sorted({'tensorflow', 'keras', 'numpy.f2py', 'pytest'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def web_processes(service) -> list[psutil.Process]:
    """Return Gunicorn's processes, including their parent."""
    children = psutil.Process(service.process.pid).children(recursive=True)
    return [process for process in children if any("gunicorn" in word for word in process.cmdline())]


def test_web_processes_stay_small_after_three_hundred_pictures(service, http):
    photo = make.photo(0.2) + random.Random(1).randbytes(600_000)  # as big as a photo, and decoded much faster
    for start in range(0, 300, 50):
        answer = http.post("/v1/jobs", files=files(*((f"{start + n}.jpg", photo) for n in range(50))))
        assert answer.status_code == 202
    job = answer.json()
    finished(http, job["id"])
    for key in range(1, 51):
        own = f"/v1/jobs/{job['id']}/items/{key:06}/image"
        assert http.get(own, params={"size": "thumb"}).status_code == http.get(own).status_code == 200
    sizes = [process.memory_info().rss for process in web_processes(service)]
    assert len(sizes) >= 3 and max(sizes) < MAX_RSS, sizes
