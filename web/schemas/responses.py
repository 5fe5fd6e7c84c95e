"""What goes over the wire, as types: the views make it, the OpenAPI document is made of it, mypy compares the two.

Typed dictionaries cost nothing in a request. What presets, queues and health answer stands beside their views.
"""

from __future__ import annotations

from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,  # pydantic asks for this one before Python 3.12
)

from pydantic import Field
from typing_extensions import TypedDict

from shared.domain.card import ModelCard
from shared.domain.entities import ItemState, JobKind, JobState
from shared.jobs.deliveries import DeliveryState

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="RFC 3339, UTC")]
JobId = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="unguessable")]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Event = Literal["job.succeeded", "job.failed", "job.cancelled"]
#: JSON in a part of a form.
JsonText = Annotated[str, Field(json_schema_extra={"contentMediaType": "application/json"})]
Cursor = Annotated[str, Field(description="opaque: give it back as `after`")]


class Failure(TypedDict):
    """Why something failed."""

    code: Annotated[str, Field(description="stable, for programs")]
    detail: Annotated[str, Field(description="a sentence for people")]


class Counts(TypedDict):
    """How many items a job has, and how many of them ended in which way."""

    total: Count
    succeeded: Count
    failed: Count
    cancelled: Count


class Promotion(TypedDict):
    """Whether the version that a training made became the champion."""

    promoted: bool
    reason: str


class JobLinks(TypedDict):
    """Addresses that belong to a job; `metrics` and `finish` are those of a training."""

    self: str
    results: str
    cancel: str
    page: str
    metrics: NotRequired[str]
    finish: NotRequired[str]


class Job(TypedDict):
    """One submission, and how far it is."""

    id: JobId
    kind: JobKind
    state: JobState
    done: Annotated[bool, Field(description="whether nothing more will happen by itself")]
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None
    expires_at: Annotated[Timestamp | None, Field(description="when it is removed, or given up where it is open")]
    counts: Counts
    progress: Annotated[Share, Field(description="of the items, or of the training's steps")]
    eta_s: Annotated[Count | None, Field(description="seconds left at the rate so far")]
    queue_position: Annotated[Count | None, Field(description="jobs in front of this one")]
    model: Annotated[str | None, Field(description="the version it is pinned to, or that the training made")]
    params: Annotated[dict[str, Any], Field(description="of a training: every parameter's value")]
    metadata: Annotated[Any, Field(description="what the client gave")]
    webhook: Annotated[str | None, Field(description="the URL that is called when the job ends")]
    error: Failure | None
    links: JobLinks
    promotion: NotRequired[Annotated[Promotion | None, Field(description="of a training")]]


class Prediction(TypedDict):
    """One ranked answer."""

    index: Annotated[Count, Field(description="stable place of the label")]
    label: str
    score: Annotated[Share, Field(description="probability")]


class Item(TypedDict):
    """One image of a job."""

    id: str
    key: str
    filename: str
    sha256: Annotated[str | None, Field(description="hexadecimal, of the bytes; null where they were not read")]
    bytes: Count
    width: Annotated[int | None, Field(description="pixels; null where the file was refused")]
    height: Annotated[int | None, Field(description="pixels; null where the file was refused")]
    state: ItemState
    model: Annotated[str | None, Field(description="the version that made the predictions")]
    predictions: Annotated[list[Prediction], Field(description="best first")]
    corrected_label: Annotated[str | None, Field(description="by hand; null where it was not corrected")]
    error: Failure | None
    created_at: Timestamp
    finished_at: Timestamp | None


class FinishedJob(Job):
    """A job that was waited for, with its first results."""

    results: Annotated[list[Item], Field(max_length=100)]


class JobPage(TypedDict):
    """Jobs, newest first."""

    data: list[Job]
    next: Cursor | None


class ItemPage(TypedDict):
    """Items in the order in which they were added."""

    data: list[Item]
    next: Cursor | None


class ItemKey(TypedDict):
    """One item's key."""

    key: str


class KeyPage(TypedDict):
    """The keys of items in the order in which they were added; what `fields=key` answers."""

    data: list[ItemKey]
    next: Cursor | None


class ResultPage(TypedDict):
    """Finished items."""

    data: list[Item]
    next: Annotated[Cursor | None, Field(description="where to go on; null at the end of a job that is over")]
    done: Annotated[bool, Field(description="whether these were the last, and the job is over")]


class AddedItem(TypedDict):
    """What became of one file that was sent to an open job."""

    key: str
    state: ItemState | Literal["rejected"]
    error: Failure | None


class AddedItems(TypedDict):
    """One entry for each file, in order."""

    data: list[AddedItem]


class Attempt(TypedDict):
    """One call of a webhook."""

    at: Timestamp
    duration_s: Annotated[float, Field(ge=0)]
    status: Annotated[int | None, Field(description="null where no whole answer came")]
    error: Annotated[Failure | None, Field(description="null where the receiver took it")]


class Delivery(TypedDict):
    """One end of a job, and how its webhook was told of it."""

    id: Annotated[str, Field(description="the `webhook-id` of every attempt")]
    type: Event
    state: DeliveryState
    created_at: Annotated[Timestamp, Field(description="when the job ended")]
    next_attempt_at: Annotated[Timestamp | None, Field(description="null where none is due, or one is made right now")]
    attempts: Annotated[list[Attempt], Field(description="oldest first")]


class DeliveryList(TypedDict):
    """The deliveries of a job, newest first."""

    data: list[Delivery]


class WebhookSecret(TypedDict):
    """What an owner's webhooks are signed with."""

    secret: Annotated[str, Field(pattern="^whsec_", description="for any library of Standard Webhooks")]
    previous_until: Annotated[Timestamp | None, Field(description="until then the one before signs too")]


class ModelLinks(TypedDict):
    """Addresses that belong to a model version."""

    self: str
    file: str
    confusions: Annotated[str | None, Field(description="null where there is no such picture")]
    page: str


class ModelVersion(ModelCard):
    """The card of a version, whether it is the champion, and where its files are."""

    champion: bool
    links: ModelLinks


class ModelList(TypedDict):
    """All versions, newest first."""

    data: list[ModelVersion]


class Champion(TypedDict):
    """Which version serves new jobs."""

    version: str
    since: Timestamp
    previous: Annotated[str | None, Field(description="the champion before")]


class Aliases(TypedDict):
    """The aliases that there are."""

    champion: Champion


class ClassDifference(TypedDict):
    """Recall of one class by either version, and second − first."""

    label: str
    first: Share
    second: Share
    difference: float


class VersionComparison(TypedDict):
    """The second version against the first, on the same test images."""

    versions: Annotated[list[str], Field(min_length=2, max_length=2)]
    images: Count
    accuracy: Annotated[list[Share], Field(min_length=2, max_length=2)]
    difference: Annotated[float, Field(description="of the accuracies; positive where the second is better")]
    interval: Annotated[list[float], Field(min_length=2, max_length=2, description="95 %, of the difference")]
    only_first: Annotated[Count, Field(description="images that only the first has right")]
    only_second: Count
    p_value: Annotated[Share, Field(description="McNemar's exact test")]
    per_class: list[ClassDifference]
    verdict: Literal["better", "worse", "inconclusive"]
    summary: str


class Fault(TypedDict):
    """One wrong field of a request."""

    pointer: Annotated[str, Field(description="JSON pointer, or the name of a parameter or header")]
    detail: str


class Problem(TypedDict):
    """What every error is answered with (RFC 9457)."""

    type: Annotated[str, Field(json_schema_extra={"format": "uri-reference"})]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    instance: NotRequired[
        Annotated[
            str,
            Field(json_schema_extra={"format": "uri-reference"}, description="its path, where that could be read"),
        ]
    ]
    errors: NotRequired[list[Fault]]
    code: NotRequired[Annotated[str, Field(description="why a picture was refused: stable, for programs")]]
