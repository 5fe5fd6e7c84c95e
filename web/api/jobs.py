"""`/v1/jobs`: submit, list, status, seal, cancel, retry, delete."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, jsonify, make_response, request

from shared.entities import JOB_ID_PATTERN, Job, JobKind
from shared.errors import Unavailable
from shared.jobs.store import no_job
from shared.services import Services
from web.access import about_job, request_id
from web.api.requests import JobsQuery, NewJob, StatusQuery, json_body, preferred_wait_s, query, services
from web.submission import submit, wake
from web.training import submit_training
from web.views import item_view, job_view, labels_of, poll_s
from web.waiting import Waiter

blueprint = Blueprint("jobs", __name__, url_prefix="/v1/jobs")

#: Results that come with a job that was waited for.
FIRST_RESULTS = 100


@blueprint.url_value_preprocessor
def _known_form(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    """What cannot be a job's id is no job."""
    job_id = (values or {}).get("job_id")
    if job_id is not None and not JOB_ID_PATTERN.fullmatch(job_id):
        raise no_job(job_id[:64])


@blueprint.post("")
def create() -> Response:
    """Make a job of the files in the request, an open one to be filled, or a training."""
    if request.mimetype == "application/json":
        wanted = json_body(NewJob, request)
        if wanted.kind is JobKind.TRAINING:
            return _submitted(submit_training(services(), wanted.params, wanted.metadata))
        return _open_job(wanted)
    return _submitted(submit(services(), request))


@blueprint.get("")
def index() -> Response:
    """The jobs, newest first."""
    asked = query(JobsQuery, request)
    jobs, following = services().store.page(asked.limit, kind=asked.kind, state=asked.state, after=asked.after)
    response = jsonify({"data": [job_view(job) for job in jobs], "next": following})
    if following:
        response.headers["Link"] = f'<{_next_address(following)}>; rel="next"'
    return response


@blueprint.get("/<job_id>")
def status(job_id: str) -> Response:
    """The job's state and counts; `wait` waits for a change."""
    asked = query(StatusQuery, request)
    job, store = services().store.get(job_id), services().store
    known = request.if_none_match
    seconds = 0 if known and not known.contains_weak(etag(job_id, job.revision)) else asked.wait
    return job_response(_waiter().wait(store, job, seconds, lambda now: now.state.done or now.revision != job.revision))


@blueprint.post("/<job_id>/seal")
def seal(job_id: str) -> Response:
    """No more items."""
    services().store.seal(job_id)
    return _submitted(job_id)


@blueprint.post("/<job_id>/cancel")
def cancel(job_id: str) -> Response:
    """Stop after the chunk in hand; what is finished stays."""
    stopped = services().store.cancel(job_id)
    return job_response(services().store.get(job_id), 202 if stopped else 200, conditional=False)


@blueprint.post("/<job_id>/retry")
def retry(job_id: str) -> Response:
    """Queue the failed and cancelled items again; or a training, which goes on from its last checkpoint."""
    count = services().store.retry(job_id)
    wake(services(), job_id, count)
    return _submitted(job_id)


@blueprint.delete("/<job_id>")
def delete(job_id: str) -> tuple[str, int]:
    """Remove the record, the results and every stored byte."""
    services().store.remove(job_id)
    try:
        services().delete_bytes(job_id)
    except Unavailable:  # it is out of sight; the reconciler removes the bytes
        current_app.logger.warning("the bytes of job %s could not be removed yet", job_id)
    return "", 204


def job_response(job: Job, status_code: int = 200, *, conditional: bool = True) -> Response:
    """A Job with the headers that polling needs."""
    response = jsonify(job_view(job))
    response.status_code = status_code
    response.headers["ETag"] = f'W/"{etag(job.id, job.revision)}"'
    response.headers["Cache-Control"] = "private, no-cache"
    if not job.state.done:
        response.headers["Retry-After"] = str(poll_s(job, time.time()))
    if conditional:
        response.make_conditional(request)
    return response


def etag(job_id: str, revision: int) -> str:
    """Changes with the job's state and counts; weak, since the time left goes on without them."""
    return f"{job_id[:8]}-{revision}"


def _open_job(wanted: NewJob) -> Response:
    parts = services()
    job_id = parts.store.create(
        wanted.kind,
        retention_s=parts.settings.retention_hours * 3600,
        request_id=request_id(),
        model=parts.registry.champion().version,
        metadata=wanted.metadata,
    )
    about_job(job_id)
    response = job_response(parts.store.get(job_id), 201, conditional=False)
    response.headers["Location"] = f"/v1/jobs/{job_id}"
    return response


def _submitted(job_id: str) -> Response:
    """202 with the job; or 200 with its first results, where the client waits for them and it ends in time."""
    seconds = preferred_wait_s(request)
    job = services().store.get(job_id)
    if seconds is None:
        return _accepted(job)
    job = _waiter().wait(services().store, job, seconds, lambda now: now.state.done)
    response = make_response(_with_results(services(), job)) if job.state.done else _accepted(job)
    if job.state.done:
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        response.headers["Preference-Applied"] = f"wait={seconds:g}"
    return response


def _accepted(job: Job) -> Response:
    response = job_response(job, 202, conditional=False)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    response.headers["Retry-After"] = str(poll_s(job, time.time()))
    return response


def _with_results(parts: Services, job: Job) -> dict[str, Any]:
    labels = labels_of(job, parts.registry)
    page = parts.results.finished(job.id, FIRST_RESULTS)
    return {**job_view(job), "results": [item_view(item, labels, job.model) for item in page.items]}


def _next_address(cursor: str) -> str:
    return f"{request.path}?{urlencode({**request.args.to_dict(), 'after': cursor})}"


def _waiter() -> Waiter:
    return current_app.extensions["darkroom.waiter"]  # type: ignore[no-any-return]
