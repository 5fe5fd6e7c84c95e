"""Datasets, their Labels and pictures in requests and responses, and their serializers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, model_validator
from typing_extensions import TypedDict

from shared.datasets.entities import DatasetRecord, LabelCounts, Picture, Rejection, Split
from shared.datasets.labels import Fate
from shared.datasets.names import MAX_LABEL, MAX_LABELS, NAME_PATTERN
from shared.datasets.pictures import MAX_CHANGES
from shared.datasets.ranked import Order
from shared.datasets.report import Opinion
from shared.domain.times import rfc3339
from web.schemas import responses
from web.schemas.requests import Paged, Query

#: Longest text that is read as the name of a Label, which is then trimmed and checked.
LABEL_TEXT = 4 * MAX_LABEL
#: Bytes of a body that changes MAX_CHANGES pictures, or has MAX_LABELS Labels.
MAX_BODY_BYTES = 4 * 1024 * 1024

#: `dataset_name` checks it, and says what is wrong in words.
DatasetName = Annotated[
    str,
    WithJsonSchema({"type": "string", "pattern": f"^{NAME_PATTERN.pattern}$", "description": "Unique for its owner."}),
]
LabelText = Annotated[
    str,
    Field(max_length=LABEL_TEXT, description=f"1 to {MAX_LABEL} characters, stored as NFC without blanks at the ends."),
]
PictureId = Annotated[str, Field(pattern="^[1-9][0-9]{0,9}$", description="Unique in the dataset.")]


class NewDataset(BaseModel):
    """A dataset to create."""

    model_config = ConfigDict(extra="forbid")

    name: DatasetName
    labels: list[LabelText] = Field([], max_length=MAX_LABELS)


class NewDatasetLabel(BaseModel):
    """A label to add."""

    model_config = ConfigDict(extra="forbid")

    name: LabelText


class LabelChange(BaseModel):
    """The new name of a label."""

    model_config = ConfigDict(extra="forbid")

    name: LabelText
    merge: bool = Field(
        default=False, description="If another label has this name, its pictures and this one's are merged under it."
    )


class LabelQuery(Query):
    """`DELETE /v1/datasets/{dataset}/labels/{label}`."""

    pictures: Fate = Field(Fate.UNLABEL, description="What happens to its pictures.")


class PicturesQuery(Paged):
    """`GET /v1/datasets/{dataset}/pictures`."""

    label: str | None = Field(None, max_length=LABEL_TEXT)
    state: Literal["labelled", "unlabelled"] | None = None
    split: Split | None = None
    q: str | None = Field(None, min_length=1, max_length=255, description="Part of the file name.")
    group: PictureId | None = Field(None, description="Only near copies of each other: the `group` of one of them.")
    doubt: float | None = Field(None, ge=0, le=1, description="Only labelled pictures with at least this doubt.")
    sort: Order = Order.OLDEST


class PictureChange(BaseModel):
    """What to change of a picture."""

    model_config = ConfigDict(extra="forbid")

    label: LabelText | None = Field(None, description="An existing label; null removes the picture's.")
    split: Split | None = Field(None, description="Pins the picture and its near copies to this side.")
    rejected: LabelText | None = Field(
        None,
        description="A label that fits no better than the picture's own, whatever a report says; null forgets that.",
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        given = self.model_fields_set
        if not given or ("split" in given and self.split is None) or ("rejected" in given and len(given) > 1):
            raise ValueError("give a label, a split, or both; or only `rejected`; a split cannot be null")
        return self


class PictureLabels(BaseModel):
    """Labels by picture id; null removes a label."""

    model_config = ConfigDict(extra="forbid")

    labels: dict[PictureId, LabelText | None] = Field(min_length=1, max_length=MAX_CHANGES)


class PictureIds(BaseModel):
    """Pictures to delete."""

    model_config = ConfigDict(extra="forbid")

    pictures: list[PictureId] = Field(min_length=1, max_length=MAX_CHANGES)


class DatasetLabel(TypedDict):
    """A label of a dataset and the number of its pictures."""

    index: Annotated[responses.Count, Field(description="Stable: it never belongs to another label.")]
    name: str
    train: responses.Count
    test: responses.Count


class DatasetLinks(TypedDict):
    """URLs of a dataset."""

    self: str
    labels: str
    pictures: str
    archive: str
    report: str


class Dataset(TypedDict):
    """Pictures under a name, labelled or not."""

    name: DatasetName
    created_at: responses.Timestamp
    updated_at: responses.Timestamp
    revision: Annotated[responses.Count, Field(description="Grows with each change.")]
    pictures: responses.Count
    unlabelled: responses.Count
    bytes: Annotated[responses.Count, Field(description="Size of all pictures, without thumbnails and embeddings.")]
    labels: Annotated[list[DatasetLabel], Field(description="By index; indices of deleted labels are missing.")]
    links: DatasetLinks


class DatasetPage(TypedDict):
    """A page of datasets, by name."""

    data: list[Dataset]
    next: responses.Cursor | None


class Suggestion(TypedDict):
    """A label that a model suggests."""

    label: str
    score: responses.Share


class PictureLinks(TypedDict):
    """URLs of a picture."""

    self: str
    image: str
    neighbours: str


class DatasetPicture(TypedDict):
    """A picture of a dataset."""

    id: PictureId
    filename: str
    label: str | None
    split: Annotated[Split | None, Field(description="Null until it or a near copy has a label.")]
    pinned: Annotated[bool, Field(description="Whether a person has chosen the split.")]
    group: Annotated[PictureId, Field(description="The same for all near copies of a picture.")]
    width: responses.Count
    height: responses.Count
    bytes: responses.Count
    sha256: str
    suggested: Annotated[
        Suggestion | None,
        Field(description="The label that fits best besides its own, from the last report."),
    ]
    doubt: Annotated[
        responses.Share | None,
        Field(description="How much the last report doubts the label."),
    ]
    rejected: Annotated[
        str | None,
        Field(description="The label that a person has rejected: it is not suggested again."),
    ]
    links: PictureLinks


class DatasetPicturePage(TypedDict):
    """A page of pictures. It may be short, or empty, if a filter matches few; follow `next`."""

    data: list[DatasetPicture]
    next: responses.Cursor | None


class NeighbourList(TypedDict):
    """The labelled pictures that look most like a picture, the most similar first."""

    data: list[DatasetPicture]


class ChangedPictures(TypedDict):
    """The number of pictures that the request named, all of which are changed or deleted now."""

    pictures: responses.Count


def dataset_url(name: str) -> str:
    """Return the URL of a dataset."""
    return f"/v1/datasets/{name}"


def label_url(dataset: str, label: str) -> str:
    """Return the URL of a label."""
    return f"{dataset_url(dataset)}/labels/{quote(label, safe='')}"


def dataset_json(record: DatasetRecord) -> Dataset:
    """Return the JSON of a Dataset."""
    own = dataset_url(record.name)
    return {
        "name": record.name,
        "created_at": rfc3339(record.created_at),
        "updated_at": rfc3339(record.updated_at),
        "revision": record.revision,
        "pictures": record.pictures,
        "unlabelled": record.unlabelled,
        "bytes": record.bytes,
        "labels": [label_json(label) for label in record.labels],
        "links": {
            "self": own,
            "labels": f"{own}/labels",
            "pictures": f"{own}/pictures",
            "archive": f"{own}/archive",
            "report": f"{own}/report",
        },
    }


def label_json(label: LabelCounts) -> DatasetLabel:
    """Return the JSON of a Label."""
    return {"index": label.index, "name": label.name, "train": label.train, "test": label.test}


def suggestion(opinion: Opinion, labels: Mapping[int, str]) -> Suggestion | None:
    """Return the JSON of the Label that fits best; `labels` has the names by index, without deleted ones."""
    name = labels.get(opinion.best)
    return None if name is None else {"label": name, "score": opinion.score}


def picture_json(
    dataset: str,
    picture: Picture,
    labels: Mapping[int, str],
    opinion: Opinion | None = None,
    rejection: Rejection | None = None,
) -> DatasetPicture:
    """Return the JSON of a picture; `dataset` is a name, `labels` has the names by index."""
    own = f"{dataset_url(dataset)}/pictures/{picture.n}"
    if opinion and opinion.is_rejected(rejection):
        opinion = None
    return {
        "id": str(picture.n),
        "filename": picture.filename,
        "label": None if picture.label is None else labels.get(picture.label),
        "split": picture.split,
        "pinned": picture.pinned,
        "group": str(picture.group),
        "width": picture.width,
        "height": picture.height,
        "bytes": picture.size,
        "sha256": picture.sha256,
        "suggested": suggestion(opinion, labels) if opinion else None,
        "doubt": opinion.doubt if opinion and picture.label is not None else None,
        "rejected": labels.get(rejection.best) if rejection and rejection.label == picture.label else None,
        "links": {"self": own, "image": f"{own}/image", "neighbours": f"{own}/neighbours"},
    }
