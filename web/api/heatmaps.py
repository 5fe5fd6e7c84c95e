"""Heatmaps: where a version looked in a picture."""

from __future__ import annotations

from flask import Blueprint, Response, request

from shared.domain.entities import Item, ItemState, Job, JobKind
from shared.domain.errors import Conflict
from shared.jobs.heatmaps import Heatmap
from web.api.results import label_index
from web.auth.access import ANY_KEY, allow
from web.downloads.heatmaps import HeatmapService
from web.openapi.operation import Answer, operation
from web.schemas.requests import HeatmapQuery, query
from web.schemas.serializers import labels_of
from web.state import services, state

blueprint = Blueprint("heatmaps", __name__, url_prefix="/v1/jobs")

#: The version of a job never changes, so neither does a heatmap.
HEADERS = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


@blueprint.get("/<job_id>/items/<key>/heatmap")
@allow(ANY_KEY)
@operation(
    {
        200: Answer(media=["image/png"], headers=["ETag", "Cache-Control"], about="The heatmap."),
        304: Answer(headers=["ETag", "Cache-Control"]),
    },
    query=HeatmapQuery,
    headers=["If-None-Match"],
    problems=[409],
)
def heatmap(job_id: str, key: str) -> Response:
    """Get where the version looked for a label in the picture of a classified item.

    The PNG covers the whole picture, upright, and is as large as its thumbnail: at most 256 pixels on the longer side.
    It is half transparent, to be laid over the picture, and the brighter the more evidence for the label there is, in
    comparison with the rest of the picture. `label` is a name or an index; the default is the one with the best score.

    A worker makes it when it is first asked for, in a fraction of a second if it has the version in memory, and it is
    kept with the job. If no worker has made it after 10 seconds, the response is 503: ask again.
    """
    asked = query(HeatmapQuery, request)
    job = services().store.get(job_id)
    wanted = _wanted(job, services().store.item(job_id, key), asked.label)
    response = Response(_service().png(wanted), content_type="image/png", headers=HEADERS)
    response.set_etag(f"{wanted.sha256}-heatmap-{wanted.label}")
    response.make_conditional(request)
    return response


def _wanted(job: Job, item: Item, label: str | None) -> Heatmap:
    """Return the heatmap. Raise InvalidRequest for an unknown label, Conflict if the item is not classified."""
    if job.kind is not JobKind.CLASSIFICATION or job.model is None:
        raise Conflict(f"job {job.id} has no heatmaps: it is a {job.kind} job")
    best = item.outcome.best if item.outcome else None
    if item.state is not ItemState.SUCCEEDED or best is None:
        raise Conflict(f"item {item.upload.key!r} is {item.state}: only a classified picture has a heatmap")
    index = label_index(label, labels_of(job, services().registry))
    upload = item.upload
    return Heatmap(job.model, job.id, upload.sha256, best.index if index is None else index, upload.stored_as)


def _service() -> HeatmapService:
    parts = services()
    return HeatmapService(parts.heatmaps, parts.messenger, parts.blobs, state().heatmap_slots)
