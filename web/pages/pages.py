"""The pages: upload, jobs, datasets, training and models. They show only what the API answers."""

from __future__ import annotations

import contextlib
import gzip
from functools import cache
from importlib.metadata import distribution
from io import BytesIO
from pathlib import Path

from flask import Blueprint, Response, render_template, request, send_file

from shared.domain.entities import INTERACTIVE_ITEMS, JOB_ID_PATTERN, Job, JobKind
from shared.domain.errors import NotFound
from shared.domain.junk import JUNK_PATTERN
from shared.domain.sizes import readable_bytes
from shared.images.formats import ACCEPTED
from shared.jobs.workers import HEARTBEAT_TIMEOUT_S
from web.auth.access import ANY_KEY, EVERYONE, allow, may_see, visible_card
from web.middleware.permissions import permissions_policy
from web.schemas.serializers import labels_of
from web.state import caller, services

blueprint = Blueprint("pages", __name__)

#: Seconds that a browser keeps the chart library: a year, since its URL changes with its version.
CHART_LIBRARY_AGE_S = 365 * 24 * 3600
#: Level of gzip: beyond it, more time saves next to nothing.
COMPRESSION = 6


@blueprint.get("/")
@allow(ANY_KEY)
def upload() -> str:
    """Upload pictures."""
    limits = services().settings
    return render_template(
        "imgclass.html",
        limits=limits,
        max_file=readable_bytes(limits.max_file_bytes),
        max_archive=readable_bytes(limits.max_request_bytes),
        kept=_kept(),
        formats=ACCEPTED,
        junk=JUNK_PATTERN,
        samples=_samples(),
    )


@blueprint.get("/result/<job_id>")
@allow(ANY_KEY)
def result(job_id: str) -> str:
    """Follow a job: its pictures and their classes, its training, or its import."""
    job = _job(job_id)
    if job.kind is JobKind.TRAINING:
        return render_template("training.html", job=job)
    if job.kind is JobKind.IMPORT:
        return render_template("import.html", job=job)
    return render_template("result.html", job=job, labels=labels_of(job, services().registry))


@blueprint.get("/jobs")
@allow(ANY_KEY)
def jobs() -> str:
    """List all jobs, newest first."""
    return render_template("jobs.html")


@blueprint.get("/datasets")
@allow(ANY_KEY)
def datasets() -> str:
    """List the datasets, and create one."""
    return render_template("datasets.html")


@blueprint.get("/datasets/<name>")
@allow(ANY_KEY)
def dataset(name: str) -> Response:
    """Show a dataset: its labels and pictures; add to it, with the camera too, and train a classifier."""
    services().datasets.find(caller().owner, name)
    settings = services().settings
    page = render_template("dataset.html", name=name, limits=settings, formats=ACCEPTED, junk=JUNK_PATTERN)
    return Response(page, headers={"Permissions-Policy": permissions_policy("camera")})


@blueprint.get("/train")
@allow(ANY_KEY)
def train() -> str:
    """Choose a preset and its parameters, and start a training."""
    return render_template("train.html")


@blueprint.get("/models")
@allow(ANY_KEY)
def models() -> str:
    """List all versions and the champion; import a model."""
    return render_template("models.html")


@blueprint.get("/models/compare")
@allow(ANY_KEY)
def compare() -> str:
    """Compare two versions."""
    return render_template("compare.html")


@blueprint.get("/models/<version>")
@allow(ANY_KEY)
def model(version: str) -> str:
    """Show one version's card."""
    return render_template("model.html", card=visible_card(version))


@blueprint.get("/classifiers/<name>")
@allow(ANY_KEY)
def classifier(name: str) -> str:
    """Show a classifier: its versions, and which of them answers."""
    found = services().registry.classifier(name, caller().owner)
    return render_template("classifier.html", classifier=found)


@blueprint.get("/system")
@allow(ANY_KEY)
def system() -> str:
    """Show the queues, the workers, their speed, and the free space."""
    return render_template("system.html", small=INTERACTIVE_ITEMS, gone_after=HEARTBEAT_TIMEOUT_S)


@blueprint.get("/plotly.min.js")
@allow(EVERYONE)
def chart_library() -> Response:
    """Send the chart library from plotly's wheel; plotly's Python is never imported."""
    version, file = _chart_wheel()
    zipped = request.accept_encodings.quality("gzip") > 0
    response = send_file(
        BytesIO(_compressed(file)) if zipped else file,
        "text/javascript",
        max_age=CHART_LIBRARY_AGE_S if "v" in request.args else None,
        etag=f"{version}-gzip" if zipped else version,
    )
    response.vary.add("Accept-Encoding")
    if zipped:
        response.content_encoding = "gzip"
    return response


@blueprint.app_template_global()
def chart_version() -> str:
    """Return the wheel's version, for the library's URL."""
    return _chart_wheel()[0]


@cache
def _chart_wheel() -> tuple[str, Path]:
    wheel = distribution("plotly")
    return wheel.version, Path(str(wheel.locate_file("plotly/package_data/plotly.min.js")))


@cache
def _compressed(file: Path) -> bytes:
    """Return the file as gzip, a third of its 4.8 MB; it takes 0.4 s, once in each process."""
    return gzip.compress(file.read_bytes(), COMPRESSION)


def _job(job_id: str) -> Job:
    """Return the job of a page. Raise NotFound with a sentence for a person who was given a link."""
    if JOB_ID_PATTERN.fullmatch(job_id):
        with contextlib.suppress(NotFound):
            job = services().store.get(job_id)
            if may_see(job):
                return job
    raise NotFound(
        "There is no job at this address. It may have been deleted or have expired: "
        f"finished jobs are kept for {_kept()}. Or the link was cut off."
    )


def _kept() -> str:
    """Return how long finished jobs are kept, in words."""
    hours = services().settings.retention_hours
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours"


@cache
def _samples() -> list[str]:
    """Return the names of the sample pictures: one of CIFAR-10's test images for each class."""
    return sorted(path.name for path in (Path(__file__).parent.parent / "static" / "samples").iterdir())
