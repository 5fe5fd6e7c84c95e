"""Pictures of a dataset: list, see, label, pin and delete them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from flask import Blueprint, Response, jsonify, request

from shared.access.api_keys import Scope
from shared.datasets.entities import Picture
from shared.datasets.files import picture_key, thumbnail_key
from shared.datasets.names import label_name
from shared.datasets.neighbours import read_neighbours
from shared.datasets.picture import MEDIA_TYPES
from shared.datasets.pictures import Change, PictureFilter
from shared.datasets.ranked import Order, ranked, ranked_page
from shared.datasets.report import Opinions, no_opinions, read_report
from shared.domain import json_pointer
from shared.domain.errors import Fault, InvalidRequest, NotFound, you_have
from shared.images.formats import JPEG, WEBP
from web.api.datasets import dataset_id, finish_deletion
from web.api.items import PICTURE_HEADERS
from web.api.paging import linked
from web.auth.access import ANY_KEY, allow
from web.openapi.operation import JSON, Answer, operation
from web.schemas.datasets import (
    MAX_BODY_BYTES,
    ChangedPictures,
    DatasetPicture,
    DatasetPicturePage,
    NeighbourList,
    PictureChange,
    PictureIds,
    PictureLabels,
    PicturesQuery,
    picture_json,
)
from web.schemas.requests import ImageQuery, json_body, query
from web.state import services

blueprint = Blueprint("dataset_pictures", __name__, url_prefix="/v1/datasets")


@blueprint.get("/<dataset>/pictures")
@allow(ANY_KEY)
@operation({200: Answer(DatasetPicturePage, ["Link"])}, query=PicturesQuery)
def index(dataset: str) -> Response:
    """List pictures in the order in which they were added, or newest first.

    `sort=doubt`: the most doubted labels first. `sort=suggested`: those without a label, mixed, or from 40 labelled
    pictures on the least sure suggestions first. Both, and `doubt`, list what the last report has seen.
    """
    asked, found = query(PicturesQuery, request), dataset_id(dataset)
    label = None if asked.label is None else _index(found, asked.label)
    labelled = None if asked.state is None else asked.state == "labelled"
    group = None if asked.group is None else int(asked.group)
    wanted = PictureFilter(label, labelled, asked.split, asked.q, group)
    pictures, opinions = services().dataset_pictures, _opinions(found)
    if asked.sort is Order.SUGGESTED and not opinions.numbers:
        page = pictures.page(found, asked.limit, asked.after, replace(wanted, labelled=False))
    elif asked.doubt is None and asked.sort in (Order.OLDEST, Order.NEWEST):
        page = pictures.page(found, asked.limit, asked.after, wanted, newest_first=asked.sort is Order.NEWEST)
    else:
        ranking = ranked(opinions, asked.sort, asked.doubt)
        page = ranked_page(pictures, found, ranking, wanted, limit=asked.limit, after=asked.after)
    data = _pictures_json(dataset, found, page.pictures, opinions)
    return linked(jsonify({"data": data, "next": page.next}), page.next)


@blueprint.get("/<dataset>/pictures/<int:number>")
@allow(ANY_KEY)
@operation({200: Answer(DatasetPicture)})
def get(dataset: str, number: int) -> Response:
    """Get a picture's label, split and size."""
    return _picture(dataset, dataset_id(dataset), number)


@blueprint.get("/<dataset>/pictures/<int:number>/neighbours")
@allow(ANY_KEY)
@operation({200: Answer(NeighbourList)})
def neighbours(dataset: str, number: int) -> Response:
    """List up to five labelled pictures that look most like this one, the most similar first.

    They are those that the last report has found, without near copies; none if it has not seen the picture.
    """
    parts, found = services(), dataset_id(dataset)
    parts.dataset_pictures.get(found, number)
    numbers = read_neighbours(parts.blobs, found, number)
    there = parts.dataset_pictures.many(found, numbers)
    pictures = [there[n] for n in numbers if n in there]
    return jsonify({"data": _pictures_json(dataset, found, pictures, _opinions(found))})


@blueprint.put("/<dataset>/pictures/<int:number>")
@allow(Scope.TRAIN)
@operation({200: Answer(DatasetPicture)}, body={JSON: PictureChange}, examples={JSON: {"label": "apple"}})
def change(dataset: str, number: int) -> Response:
    """Change a picture's label, pin it to a side of the split, or keep its label although a report doubts it.

    A pin also moves all near copies of the picture, so that none is on the other side. `rejected` names the label that
    a report suggests and that does not fit better: while the picture has its label, that one is not suggested again.
    """
    wanted, found = json_body(PictureChange, request), dataset_id(dataset)
    if "rejected" in wanted.model_fields_set:
        _reject(found, number, wanted.rejected)
        return _picture(dataset, found, number)
    label = None
    if "label" in wanted.model_fields_set:
        (label,) = _known_labels(found, [(wanted.label, "/label")])
    services().dataset_pictures.change(found, {number: Change(label, wanted.split)})
    return _picture(dataset, found, number)


@blueprint.delete("/<dataset>/pictures/<int:number>")
@allow(Scope.TRAIN)
@operation({204: Answer(about="It is gone.")})
def delete(dataset: str, number: int) -> tuple[str, int]:
    """Delete a picture with its thumbnail and embeddings."""
    found = dataset_id(dataset)
    services().dataset_pictures.get(found, number)
    services().dataset_pictures.delete(found, [number])
    finish_deletion(found)
    return "", 204


@blueprint.post("/<dataset>/pictures/labels")
@allow(Scope.TRAIN)
@operation(
    {200: Answer(ChangedPictures)}, body={JSON: PictureLabels}, examples={JSON: {"labels": {"1": "apple", "2": None}}}
)
def label_many(dataset: str) -> Response:
    """Change the labels of many pictures: all of them, or none."""
    wanted, found = json_body(PictureLabels, request, MAX_BODY_BYTES).labels, dataset_id(dataset)
    places = [(text, f"/labels/{json_pointer.escape(number)}") for number, text in wanted.items()]
    labels = _known_labels(found, places)
    changes = {int(number): Change(label) for number, label in zip(wanted, labels, strict=True)}
    services().dataset_pictures.change(found, changes)
    return jsonify({"pictures": len(changes)})


@blueprint.post("/<dataset>/pictures/delete")
@allow(Scope.TRAIN)
@operation({200: Answer(ChangedPictures)}, body={JSON: PictureIds}, examples={JSON: {"pictures": ["1", "2"]}})
def delete_many(dataset: str) -> Response:
    """Delete many pictures. Those that are already gone are passed over.

    If one of these ids never belonged to a picture, nothing is deleted.
    """
    wanted, found = json_body(PictureIds, request, MAX_BODY_BYTES).pictures, dataset_id(dataset)
    numbers = sorted({int(number) for number in wanted})
    services().dataset_pictures.delete(found, numbers)
    finish_deletion(found)
    return jsonify({"pictures": len(numbers)})


@blueprint.get("/<dataset>/pictures/<int:number>/image")
@allow(ANY_KEY)
@operation(
    {
        200: Answer(media=MEDIA_TYPES, headers=["ETag", "Cache-Control"], about="The bytes."),
        304: Answer(headers=["ETag", "Cache-Control"]),
    },
    query=ImageQuery,
    headers=["If-None-Match"],
)
def image(dataset: str, number: int) -> Response:
    """Get the picture as it was uploaded, or its thumbnail."""
    asked, found = query(ImageQuery, request), dataset_id(dataset)
    picture = services().dataset_pictures.get(found, number)
    content, media_type = _content(found, picture, small=asked.size == "thumb")
    response = Response(content, content_type=media_type, headers=PICTURE_HEADERS)
    response.set_etag(f"{picture.sha256}{asked.size or ''}")
    response.make_conditional(request)
    return response


def _content(dataset: str, picture: Picture, *, small: bool) -> tuple[bytes, str]:
    """Return the bytes and the media type of a picture or its thumbnail."""
    block = services().dataset_pictures.block_id(dataset, picture.block)
    if small:
        content = services().blobs.get(thumbnail_key(dataset, block, picture.sha256))
        return content, (WEBP if content.startswith(b"RIFF") else JPEG).media_type
    return services().blobs.get(picture_key(dataset, block, picture.sha256)), picture.media_type


def _reject(dataset: str, number: int, label: str | None) -> None:
    """Keep a picture's Label against this one, or forget that. Raise NotFound, InvalidRequest for a wrong Label."""
    (name,) = _known_labels(dataset, [(label, "/rejected")])
    if not services().dataset_pictures.reject(dataset, number, name or None):
        text = "only another label than the picture's own can be rejected"
        raise InvalidRequest(text, [Fault("/rejected", text)])


def _picture(name: str, dataset: str, n: int) -> Response:
    picture = services().dataset_pictures.get(dataset, n)
    return jsonify(_pictures_json(name, dataset, [picture], _opinions(dataset))[0])


def _opinions(dataset: str) -> Opinions:
    report = read_report(services().blobs, dataset)
    return no_opinions() if report is None else report[1]


def _pictures_json(name: str, dataset: str, pictures: Sequence[Picture], opinions: Opinions) -> list[DatasetPicture]:
    """Return the JSON of pictures, with what the last report says about them."""
    labels = services().dataset_labels.names(dataset)
    rejections = services().dataset_pictures.rejections(dataset, [picture.n for picture in pictures])
    return [
        picture_json(name, picture, labels, opinions.of(picture), rejections.get(picture.n)) for picture in pictures
    ]


def _index(dataset: str, label: str) -> int:
    """Return the index of the label in a query. Raise InvalidRequest."""
    try:
        return services().dataset_labels.index(dataset, label_name(label, "label"))
    except NotFound as error:
        raise InvalidRequest(str(error), [Fault("label", str(error))]) from error


def _known_labels(dataset: str, texts: Iterable[tuple[str | None, str]]) -> list[str]:
    """Return names of labels in the form of a `Change`. Raise InvalidRequest with a fault for each unknown one."""
    known, names, faults = set(services().dataset_labels.names(dataset).values()), [], []
    for text, pointer in texts:
        names.append("" if text is None else label_name(text, pointer))
        if names[-1] and names[-1] not in known:
            faults.append(Fault(pointer, f"there is no label {names[-1][:80]!r}: add it first"))
    if faults:
        details = {fault.detail for fault in faults}
        what = details.pop() if len(details) == 1 else "the dataset does not have these labels"
        raise InvalidRequest(what + you_have(known), faults)
    return names
