"""`/v1/jobs`: submit, list, get, seal, cancel, retry and delete Jobs."""

from __future__ import annotations

import time
from itertools import islice
from typing import Annotated, Any, NotRequired

from flask import Blueprint, Response, current_app, jsonify, request
from pydantic import Field
from typing_extensions import TypedDict

from shared.access.api_keys import Scope
from shared.access.quotas import QuotaKind
from shared.domain.entities import Job, JobKind, WebhookTarget
from shared.domain.errors import Unavailable
from shared.services import Services
from web.api.paging import linked
from web.api.submit_training import submit_training
from web.auth.access import ANY_KEY, JOB_SCOPE, allow, require
from web.middleware.rate_limits import charge, most_open_jobs
from web.middleware.request_log import about_job, request_id
from web.openapi.operation import JSON, MULTIPART, Answer, operation
from web.schemas import responses
from web.schemas.requests import (
    JobsQuery,
    NewJob,
    Paged,
    StatusQuery,
    SubmitQuery,
    json_body,
    preferred_wait_s,
    query,
)
from web.schemas.serializers import item_json, job_json, labels_of, poll_s
from web.state import caller, services, state
from web.uploads.item_writer import wake_for_job
from web.uploads.pin import choose, choose_in_query, refuse_pin_in_query
from web.uploads.request_files import ARCHIVE_TYPES, UNKNOWN_TYPE
from web.uploads.submission import submit
from web.uploads.webhook_param import refuse_in_query, webhook_in_field

blueprint = Blueprint("jobs", __name__, url_prefix="/v1/jobs")

#: Results in the answer of a submission that waited for the job.
FIRST_RESULTS = 100

#: What a submission answers: in general, and if the client waits for the job to finish.
ACCEPTED = Answer(responses.Job, ["Location", "Retry-After", "ETag"], about="Accepted: the job is queued.")
WAITED_FOR = Answer(
    responses.FinishedJob,
    ["Location", "ETag", "Preference-Applied"],
    about="`Prefer: wait`, and the job finished in time: with its first 100 results.",
)
#: What a call that stops a job answers.
STOPPED = {
    202: Answer(responses.Job, ["Retry-After", "ETag"], about="It will stop after the current chunk or step."),
    200: Answer(responses.Job, ["ETag"], about="The job had finished already."),
}


class JobParts(TypedDict):
    """A whole job in one request."""

    files: Annotated[list[bytes], Field(min_length=1, description="pictures, `.zip`, `.tar`, also compressed")]
    classifier: NotRequired[
        Annotated[str, Field(description="classifier whose champion classifies; must come before the files")]
    ]
    version: NotRequired[Annotated[str, Field(description="model version that classifies; must come before the files")]]
    metadata: NotRequired[Annotated[Any, Field(description="any JSON value; it stays with the job")]]
    webhook: NotRequired[Annotated[str, Field(description="a URL that is called when the job ends")]]


@blueprint.post("")
@allow(ANY_KEY)  # and the scope of the kind, which the body tells
@operation(
    {
        201: Answer(responses.Job, ["Location", "Retry-After", "ETag"], about="An open job, to be filled and sealed."),
        202: ACCEPTED,
        200: WAITED_FOR,
    },
    body={JSON: NewJob, MULTIPART: JobParts, "image/*": None, **dict.fromkeys([*sorted(ARCHIVE_TYPES), UNKNOWN_TYPE])},
    examples={JSON: {"kind": "training", "params": {"preset": "fast", "epochs": 8, "promote": "if_better"}}},
    query=SubmitQuery,
    headers=["Prefer"],
)
def create() -> Response:
    """Create a job: of the files in the request, an open one to fill later, or a training.

    Send files as `multipart/form-data`, or one picture or archive as the body. A file that cannot be accepted becomes a
    failed item of the job and does not affect the others; if it is the only file, the request fails.
    """
    asked = query(SubmitQuery, request)
    if request.mimetype == "application/json":
        refuse_in_query(request, "the JSON")
        wanted = json_body(NewJob, request)
        webhook = webhook_in_field(wanted.webhook, services().resolver)
        if wanted.kind is JobKind.TRAINING:
            require(Scope.TRAIN)
            refuse_pin_in_query(request, "a training has none")
            return submitted(submit_training(services(), caller().owner, wanted.params, wanted.metadata, webhook))
        require(Scope.SUBMIT)
        return opened(_open_job(wanted, webhook))
    require(Scope.SUBMIT)
    return submitted(submit(services(), caller().owner, request, asked.names))


@blueprint.get("")
@allow(ANY_KEY)
@operation({200: Answer(responses.JobPage, ["Link"])}, query=JobsQuery)
def index() -> Response:
    """List the jobs of the key's owner, newest first. With the scope `admin`: of all owners."""
    asked = query(JobsQuery, request)
    jobs, following = services().job_list.page(
        asked.limit, owner=caller().visible_owner, kind=asked.kind, state=asked.state, after=asked.after
    )
    return linked(jsonify({"data": [job_json(job) for job in jobs], "next": following}), following)


@blueprint.get("/<job_id>")
@allow(ANY_KEY)
@operation(
    {
        200: Answer(responses.Job, ["ETag", "Retry-After", "Cache-Control"]),
        304: Answer(headers=["ETag", "Retry-After", "Cache-Control"]),
    },
    query=StatusQuery,
    headers=["If-None-Match"],
)
def status(job_id: str) -> Response:
    """Get a job's state and counts, at a cost that does not depend on its size.

    With `wait` the answer is sent when the state or the counts change, or after that many seconds. If too many requests
    wait already it is sent at once: heed `Retry-After`, which is present until the job is done.
    """
    asked = query(StatusQuery, request)
    job, store = services().store.get(job_id), services().store
    known = request.if_none_match
    seconds = 0 if known and not known.contains_weak(etag(job_id, job.revision)) else asked.wait
    return job_response(
        state().waiter.wait(store, job, seconds, lambda now: now.state.done or now.revision != job.revision)
    )


@blueprint.get("/<job_id>/skipped")
@allow(ANY_KEY)
@operation({200: Answer(responses.SkippedPage)}, query=Paged)
def skipped(job_id: str) -> Response:
    """List the files in archives that were skipped: what operating systems and photo programs add to folders.

    They are neither pictures nor failures, so they are not items. `skipped` of the job is their number.
    """
    asked = query(Paged, request)
    services().store.get(job_id)
    files, following = services().skipped.page(job_id, asked.limit, asked.after)
    data = [{"archive": file.archive, "filename": file.filename} for file in files]
    return jsonify({"data": data, "next": following})


@blueprint.post("/<job_id>/seal")
@allow(JOB_SCOPE)
@operation({202: ACCEPTED, 200: WAITED_FOR}, headers=["Prefer"])
def seal(job_id: str) -> Response:
    """Seal an open job: it accepts no more items."""
    services().store.seal(job_id)
    return submitted(job_id)


@blueprint.post("/<job_id>/cancel")
@allow(JOB_SCOPE)
@operation(STOPPED)
def cancel(job_id: str) -> Response:
    """Cancel a job after the chunk that is being worked on. Finished items keep their results."""
    stopped = services().store.cancel(job_id)
    return job_response(services().store.get(job_id), 202 if stopped else 200, conditional=False)


@blueprint.post("/<job_id>/retry")
@allow(JOB_SCOPE)
@operation({202: ACCEPTED, 200: WAITED_FOR}, headers=["Prefer"])
def retry(job_id: str) -> Response:
    """Queue the failed and cancelled items again; a training continues from its last checkpoint.

    409 if there are none: files that were refused are not stored, so they cannot be retried. To read the new results,
    continue with the `after` of your last page: its items may appear again, then those that finish from now on.
    """
    charge(QuotaKind.ITEMS, services().store.retryable(job_id))
    count = services().store.retry(job_id, most_open_jobs())
    wake_for_job(services().store, services().messenger, job_id, count)
    return submitted(job_id)


@blueprint.delete("/<job_id>")
@allow(JOB_SCOPE)
@operation({204: Answer(about="It is gone.")}, problems=[409])
def delete(job_id: str) -> tuple[str, int]:
    """Delete a job with its results and every stored byte."""
    services().store.remove(job_id)
    try:
        services().delete_bytes(job_id)
    except Unavailable:  # the record is gone; the reconciler removes the bytes
        current_app.logger.warning("the bytes of job %s could not be removed yet", job_id)
    return "", 204


def job_response(job: Job, status_code: int = 200, *, conditional: bool = True) -> Response:
    """Return a Job with the headers that polling clients need."""
    response = jsonify(job_json(job))
    response.status_code = status_code
    response.headers["ETag"] = f'W/"{etag(job.id, job.revision)}"'
    response.headers["Cache-Control"] = "private, no-cache"
    if not job.state.done:
        response.headers["Retry-After"] = str(poll_s(job, time.time()))
    if conditional:
        response.make_conditional(request)
    return response


def etag(job_id: str, revision: int) -> str:
    """Return a tag that changes with the job's state and counts; weak, since the time left changes without them."""
    return f"{job_id[:8]}-{revision}"


def open_job(kind: JobKind, webhook: WebhookTarget | None, **fields: Any) -> str:
    """Create an open Job of the caller with these fields of its record, and return its id."""
    job_id = services().store.create(
        kind,
        retention_s=services().settings.retention_hours * 3600,
        request_id=request_id(),
        owner=caller().owner,
        max_unfinished=most_open_jobs(),
        webhook=webhook,
        **fields,
    )
    about_job(job_id)
    return job_id


def _open_job(wanted: NewJob, webhook: WebhookTarget | None) -> str:
    if wanted.pin:
        refuse_pin_in_query(request, "it is named in the JSON, too")
    pin = choose(services(), wanted.pin, "/") if wanted.pin else choose_in_query(services(), request)
    names = {"classifier": pin.classifier.name, "model": pin.version}
    return open_job(wanted.kind, webhook, metadata=wanted.metadata, **names)


def opened(job_id: str) -> Response:
    """Answer 201 with an open Job."""
    response = job_response(services().store.get(job_id), 201, conditional=False)
    response.headers["Location"] = f"/v1/jobs/{job_id}"
    return response


def submitted(job_id: str) -> Response:
    """Answer 202 with the job, or 200 with its first results if the client waits and the job finishes in time."""
    seconds = preferred_wait_s(request)
    job = state().waiter.until_end(services().store, job_id, seconds or 0)
    if seconds is None or not job.state.done:
        return _accepted(job)
    response = jsonify(_with_results(services(), job))
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    response.headers["ETag"] = f'W/"{etag(job.id, job.revision)}"'
    response.headers["Preference-Applied"] = f"wait={seconds:g}"
    return response


def _accepted(job: Job) -> Response:
    response = job_response(job, 202, conditional=False)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    response.headers["Retry-After"] = str(poll_s(job, time.time()))
    return response


def _with_results(parts: Services, job: Job) -> dict[str, Any]:
    labels = labels_of(job, parts.registry)
    first = islice(parts.results.stream(job.id), FIRST_RESULTS)
    return {**job_json(job), "results": [item_json(item, labels, job) for item in first]}
