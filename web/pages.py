"""The pages: upload, one job's result, and the list of jobs. They show what the API says, and nothing else."""

from __future__ import annotations

from flask import Blueprint, render_template

from shared.entities import JOB_ID_PATTERN, Job
from shared.errors import NotFound
from shared.formats import ACCEPTED
from web.api.requests import services
from web.views import labels_of

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def upload() -> str:
    """Pick or drop pictures."""
    parts = services()
    limits, card = parts.settings, parts.registry.champion()
    return render_template(
        "imgclass.html", limits=limits, max_file=readable_bytes(limits.max_file_bytes), formats=ACCEPTED, card=card
    )


@blueprint.get("/result/<job_id>")
def result(job_id: str) -> str:
    """Watch a job, and see its pictures with their classes."""
    job = _job(job_id)
    return render_template("result.html", job=job, labels=labels_of(job, services().registry))


@blueprint.get("/jobs")
def jobs() -> str:
    """All jobs, newest first."""
    return render_template("jobs.html")


def readable_bytes(count: int) -> str:
    """Bytes for people, with 1 KB = 1,024 bytes as file managers have it, and cut, so that a limit is never overstated.

    67108864 → "64 MB".
    """
    value, unit = float(count), "bytes"
    for following in ("KB", "MB", "GB", "TB"):
        if value < 1024:
            break
        value, unit = value / 1024, following
    return f"{int(value * 10) / 10:,g} {unit}"


def _job(job_id: str) -> Job:
    """The job at a page's address. Raises NotFound with a sentence for whoever was given that address."""
    if JOB_ID_PATTERN.fullmatch(job_id):
        try:
            return services().store.get(job_id)
        except NotFound:
            pass
    hours = services().settings.retention_hours
    kept = f"{hours // 24} days" if hours >= 48 else f"{hours} hours"
    raise NotFound(
        "There is no job at this address. It may have been deleted, or its time is over: "
        f"finished jobs are kept for {kept}. Or a part of the address got lost on the way here."
    )
