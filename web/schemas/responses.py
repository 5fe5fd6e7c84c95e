"""The types of JSON responses, for the serializers, mypy and the OpenAPI document.

Typed dictionaries cost nothing in a request. Types that only one view returns are beside it.
"""

from __future__ import annotations

from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,  # pydantic requires this one before Python 3.12
)

from pydantic import Field
from typing_extensions import TypedDict

from shared.domain.card import ModelCard
from shared.domain.entities import ImportOutcome, ItemState, JobKind, JobState
from shared.jobs.deliveries import DeliveryState

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="RFC 3339, UTC")]
JobId = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="Unique and unguessable.")]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Event = Literal["job.succeeded", "job.failed", "job.cancelled"]
#: JSON in a form field.
JsonText = Annotated[str, Field(json_schema_extra={"contentMediaType": "application/json"})]
Cursor = Annotated[str, Field(description="Opaque. Send it as `after` to get the next page.")]


class Failure(TypedDict):
    """Why something failed."""

    code: Annotated[str, Field(description="Stable error code, for programs.")]
    detail: Annotated[str, Field(description="What went wrong, for people.")]


class Counts(TypedDict):
    """Number of items in a job, by how they ended."""

    total: Count
    succeeded: Count
    failed: Count
    cancelled: Count


class Promotion(TypedDict):
    """Whether the trained version became the champion."""

    promoted: bool
    reason: str


class JobLinks(TypedDict):
    """URLs of a job. Only trainings have `metrics` and `finish`."""

    self: str
    results: str
    cancel: str
    page: str
    metrics: NotRequired[str]
    finish: NotRequired[str]


class Job(TypedDict):
    """A submission and its progress."""

    id: JobId
    kind: JobKind
    state: JobState
    done: Annotated[bool, Field(description="Whether the job has finished, failed or been cancelled.")]
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None
    expires_at: Annotated[
        Timestamp | None, Field(description="When the job is deleted, or abandoned if it is still open.")
    ]
    counts: Counts
    skipped: Annotated[
        Count, Field(description="Files in archives that were skipped: operating systems and photo programs add them.")
    ]
    guessed_encodings: Annotated[
        list[str], Field(description="Encodings that were guessed for names in archives; empty if all are certain.")
    ]
    progress: Annotated[Share, Field(description="Share of finished items, or of the training's steps.")]
    eta_s: Annotated[Count | None, Field(description="Estimated seconds left, at the rate so far.")]
    queue_position: Annotated[Count | None, Field(description="Number of jobs ahead in the queue.")]
    classifier: Annotated[
        str | None, Field(description="Classifier whose version classifies the items; null for trainings.")
    ]
    model: Annotated[
        str | None, Field(description="Model version that classifies the items, or that the training published.")
    ]
    params: Annotated[dict[str, Any], Field(description="All parameters of a training.")]
    metadata: Annotated[Any, Field(description="Metadata from the request.")]
    webhook: Annotated[str | None, Field(description="URL to call when the job finishes.")]
    error: Failure | None
    links: JobLinks
    promotion: NotRequired[Annotated[Promotion | None, Field(description="Only for trainings.")]]


class Prediction(TypedDict):
    """A label with its score."""

    index: Annotated[Count, Field(description="Stable index of the label.")]
    label: str
    score: Annotated[Share, Field(description="Probability.")]


class Item(TypedDict):
    """An image in a job."""

    id: str
    key: str
    filename: str
    sha256: Annotated[
        str | None, Field(description="SHA-256 of the bytes, in hexadecimal; null if they were not read.")
    ]
    bytes: Count
    width: Annotated[int | None, Field(description="In pixels; null if the file was refused.")]
    height: Annotated[int | None, Field(description="In pixels; null if the file was refused.")]
    state: ItemState
    model: Annotated[str | None, Field(description="Model version that made the predictions.")]
    predictions: Annotated[list[Prediction], Field(description="Best first.")]
    unknown: Annotated[
        bool, Field(description="Whether the picture is unlike what the version learnt, or the version is too unsure.")
    ]
    novelty: Annotated[Share | None, Field(description="How unlike the training pictures it is; null if not known.")]
    corrected_label: Annotated[str | None, Field(description="Label given by a person; null if there is none.")]
    error: Failure | None
    created_at: Timestamp
    finished_at: Timestamp | None
    label: NotRequired[Annotated[str | None, Field(description="Only in imports: the label that it is imported with.")]]
    outcome: NotRequired[
        Annotated[
            ImportOutcome | None,
            Field(description="present: the dataset had the same bytes; conflict: with another label, which it keeps."),
        ]
    ]
    picture: NotRequired[Annotated[str | None, Field(description="Id of the picture in the dataset.")]]
    dataset_label: NotRequired[Annotated[str | None, Field(description="In a conflict: the label that it keeps.")]]


class FinishedJob(Job):
    """A finished job with its first results."""

    results: Annotated[list[Item], Field(max_length=100)]


class JobPage(TypedDict):
    """A page of jobs, newest first."""

    data: list[Job]
    next: Cursor | None


class ItemPage(TypedDict):
    """A page of items, in the order in which they were added."""

    data: list[Item]
    next: Cursor | None


class ItemKey(TypedDict):
    """The key of an item."""

    key: str


class KeyPage(TypedDict):
    """A page of item keys, in the order in which they were added."""

    data: list[ItemKey]
    next: Cursor | None


class ResultPage(TypedDict):
    """A page of finished items."""

    data: list[Item]
    next: Annotated[
        Cursor | None, Field(description="Send it as `after` to continue; null at the end of a finished job.")
    ]
    done: Annotated[bool, Field(description="Whether this is the last page of a finished job.")]


class SkippedFile(TypedDict):
    """A file in an archive that is neither a picture nor a failure."""

    archive: str
    filename: str


class SkippedPage(TypedDict):
    """A page of skipped files, in the order of their archives."""

    data: list[SkippedFile]
    next: Cursor | None


class AddedItem(TypedDict):
    """The outcome of adding one file to an open job."""

    key: str
    state: ItemState | Literal["rejected"]
    error: Failure | None


class AddedItems(TypedDict):
    """One entry per file, in the order of the request."""

    data: list[AddedItem]


class Attempt(TypedDict):
    """One attempt to deliver a webhook."""

    at: Timestamp
    duration_s: Annotated[float, Field(ge=0)]
    status: Annotated[
        int | None, Field(description="HTTP status of the receiver; null if it sent no complete response.")
    ]
    error: Annotated[Failure | None, Field(description="Null if the receiver accepted the delivery.")]


class Delivery(TypedDict):
    """The webhook delivery for one end of a job."""

    id: Annotated[str, Field(description="The `webhook-id` header of every attempt.")]
    type: Event
    state: DeliveryState
    created_at: Annotated[Timestamp, Field(description="When the job finished.")]
    next_attempt_at: Annotated[Timestamp | None, Field(description="Null if no attempt is due, or one is in progress.")]
    attempts: Annotated[list[Attempt], Field(description="Oldest first.")]


class DeliveryList(TypedDict):
    """The deliveries of a job, newest first."""

    data: list[Delivery]


class WebhookSecret(TypedDict):
    """The signing secret of an owner's webhooks."""

    secret: Annotated[str, Field(pattern="^whsec_", description="Signing secret for Standard Webhooks libraries.")]
    previous_until: Annotated[
        Timestamp | None, Field(description="Until then, deliveries are also signed with the previous secret.")
    ]


class ModelLinks(TypedDict):
    """URLs of a model version."""

    self: str
    file: str
    confusions: Annotated[str | None, Field(description="Picture of confused test images; null if there is none.")]
    page: str


class ModelVersion(ModelCard):
    """The card of a model version, with links to its files."""

    champion: bool
    links: ModelLinks


class ModelList(TypedDict):
    """All model versions, newest first."""

    data: list[ModelVersion]


class Champion(TypedDict):
    """The version of a classifier that serves new jobs."""

    version: str
    since: Timestamp
    previous: Annotated[str | None, Field(description="The previous champion.")]


class ClassifierLinks(TypedDict):
    """URLs of a classifier."""

    self: str
    champion: str
    versions: str


class Classifier(TypedDict):
    """A name that answers: a set of labels, and the version that serves new jobs."""

    name: Annotated[str, Field(pattern="^[a-z0-9-]{1,64}$")]
    owner: Annotated[str | None, Field(description="Null: it ships with Darkroom.")]
    default: Annotated[bool, Field(description="Whether it serves jobs that name no classifier.")]
    labels: Annotated[list[str], Field(description="Labels of the champion, by index.")]
    champion: Annotated[Champion | None, Field(description="Null if no version was promoted yet.")]
    links: ClassifierLinks


class ClassifierList(TypedDict):
    """The classifiers that the caller can use."""

    data: list[Classifier]


class Aliases(TypedDict):
    """All aliases."""

    champion: Champion


class ClassDifference(TypedDict):
    """Recall of one class by each version, and the difference second − first."""

    label: str
    first: Share
    second: Share
    difference: float


class VersionComparison(TypedDict):
    """Comparison of two versions on the test images that both were measured on."""

    versions: Annotated[list[str], Field(min_length=2, max_length=2)]
    images: Count
    accuracy: Annotated[list[Share], Field(min_length=2, max_length=2)]
    difference: Annotated[float, Field(description="Difference of the accuracies; positive if the second is better.")]
    interval: Annotated[
        list[float], Field(min_length=2, max_length=2, description="95 % confidence interval of the difference.")
    ]
    only_first: Annotated[Count, Field(description="Images that only the first version classifies correctly.")]
    only_second: Count
    p_value: Annotated[Share, Field(description="Of McNemar's exact test.")]
    per_class: list[ClassDifference]
    left_out: Annotated[
        list[Count],
        Field(min_length=2, max_length=2, description="Test images of each that the other was not measured on."),
    ]
    verdict: Literal["better", "worse", "inconclusive"]
    summary: str


class Fault(TypedDict):
    """One wrong field of a request."""

    pointer: Annotated[str, Field(description="JSON pointer, or name of a parameter or header.")]
    detail: str


class Problem(TypedDict):
    """An error (RFC 9457)."""

    type: Annotated[str, Field(json_schema_extra={"format": "uri-reference"})]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    instance: NotRequired[
        Annotated[
            str,
            Field(
                json_schema_extra={"format": "uri-reference"}, description="Path of the request, if it could be read."
            ),
        ]
    ]
    errors: NotRequired[list[Fault]]
    code: NotRequired[
        Annotated[str, Field(description="Stable code of the reason why a picture was refused, for programs.")]
    ]
