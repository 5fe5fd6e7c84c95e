"""`/v1/jobs/{id}/items`: add items to an open job, list them, and get their pictures."""

from __future__ import annotations

from typing import Annotated, NotRequired

from flask import Blueprint, Response, jsonify, request
from pydantic import Field
from typing_extensions import TypedDict

from shared.datasets.files import picture_key
from shared.domain.entities import Item, ItemState, Job
from shared.domain.errors import Conflict, NotFound
from shared.images.formats import FORMATS
from shared.jobs.store import AddResult
from web.auth.access import ANY_KEY, JOB_SCOPE, allow
from web.downloads.thumbnails import thumbnail
from web.openapi.operation import MULTIPART, Answer, operation
from web.schemas import responses
from web.schemas.datasets import LABEL_TEXT
from web.schemas.requests import ImageQuery, ItemsQuery, Query, UploadQuery, query
from web.schemas.serializers import failure_json, item_json, labels_of
from web.state import services
from web.uploads.open_job import add_items, put_item
from web.uploads.request_files import UNKNOWN_TYPE

blueprint = Blueprint("items", __name__, url_prefix="/v1/jobs")

#: A stored picture is untrusted and immutable: browsers must not run, frame or sniff it.
PICTURE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=31536000, immutable",
}


class PutItemQuery(Query):
    """`PUT /v1/jobs/{id}/items/{key}`."""

    label: str | None = Field(None, max_length=LABEL_TEXT, description="Label of the picture; only for an import.")


class ItemParts(TypedDict):
    """Items for an open job."""

    files: Annotated[list[bytes], Field(min_length=1, description="pictures, `.zip`, `.tar`, also compressed")]
    keys: NotRequired[
        Annotated[responses.JsonText, Field(description="list of keys, one for each file, in order; not for archives")]
    ]
    labels: NotRequired[
        Annotated[responses.JsonText, Field(description="list with a label or null for each file; only for an import")]
    ]


@blueprint.put("/<job_id>/items/<key>")
@allow(JOB_SCOPE)
@operation(
    {
        201: Answer(responses.Item, about="Added."),
        200: Answer(responses.Item, about="The same bytes are there already."),
    },
    body={"image/*": None, UNKNOWN_TYPE: None},
    query=PutItemQuery,
    problems=[409],
)
def put(job_id: str, key: str) -> tuple[Response, int]:
    """Add one item under your own key."""
    asked = query(PutItemQuery, request)
    answer = put_item(services(), job_id, key, request, asked.label)
    if answer is AddResult.DIFFERS:
        raise Conflict(f"item {key!r} is there already, with other bytes")
    if answer is AddResult.FULL:
        raise Conflict(f"the job has {services().settings.max_items} items, its most")
    item = services().store.item(job_id, key)
    job = services().store.get(job_id)
    view = jsonify(item_json(item, labels_of(job, services().registry), job))
    return view, 201 if answer is AddResult.ADDED else 200


@blueprint.post("/<job_id>/items")
@allow(JOB_SCOPE)
@operation({200: Answer(responses.AddedItems)}, body={MULTIPART: ItemParts}, query=UploadQuery)
def post(job_id: str) -> Response:
    """Add many items. With the part `keys` a repeat changes nothing."""
    asked = query(UploadQuery, request)
    added = add_items(services(), job_id, request, asked.names)
    return jsonify(
        {"data": [{"key": item.key, "state": item.state, "error": failure_json(item.failure)} for item in added]}
    )


@blueprint.get("/<job_id>/items")
@allow(ANY_KEY)
@operation({200: Answer(responses.ItemPage | responses.KeyPage, about=responses.ItemPage.__doc__)}, query=ItemsQuery)
def items(job_id: str) -> Response:
    """List all items, or with `fields=key` only their keys, in the order in which they were added."""
    asked = query(ItemsQuery, request)
    if asked.fields == "key":
        keys, following = services().results.item_keys(job_id, asked.limit, asked.after)
        return jsonify({"data": [{"key": key} for key in keys], "next": following})
    page = services().results.items(job_id, asked.limit, asked.after)
    job = services().store.get(job_id)
    labels = labels_of(job, services().registry)
    return jsonify({"data": [item_json(item, labels, job) for item in page.items], "next": page.next})


@blueprint.get("/<job_id>/items/<key>/image")
@allow(ANY_KEY)
@operation(
    {
        200: Answer(media=[each.media_type for each in FORMATS], headers=["ETag", "Cache-Control"], about="The bytes."),
        304: Answer(headers=["ETag", "Cache-Control"]),
    },
    query=ImageQuery,
    headers=["If-None-Match"],
)
def image(job_id: str, key: str) -> Response:
    """Get the stored picture, or a thumbnail."""
    asked = query(ImageQuery, request)
    job = services().store.get(job_id)
    item = services().store.item(job_id, key)
    if item.upload.media_type is None:
        raise NotFound(f"item {key!r} was refused, so its bytes are not stored")
    content, media_type = _stored(job, item), item.upload.media_type
    small = asked.size == "thumb" and item.state is ItemState.SUCCEEDED
    if small:
        content, media_type = thumbnail(item, content)
    response = Response(content, content_type=media_type)
    response.headers.update(PICTURE_HEADERS)
    if asked.size and not small:  # the whole picture stands in until a worker has decoded it
        response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(f"{item.upload.sha256}{'thumb' if small else ''}")
    response.make_conditional(request)
    return response


def _stored(job: Job, item: Item) -> bytes:
    """Return the bytes of an Item's picture, which the Dataset has after an import. Raise NotFound."""
    imported = item.outcome.imported if item.outcome else None
    if job.dataset is None or imported is None:
        return services().picture(job.id, item.upload.stored_as)
    picture = services().dataset_pictures.get(job.dataset, imported.picture)
    block = services().dataset_pictures.block_id(job.dataset, picture.block)
    return services().blobs.get(picture_key(job.dataset, block, picture.sha256))
