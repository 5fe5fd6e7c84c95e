"""The things that Darkroom speaks of: jobs, items, predictions. Values only; nothing here reads or writes."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: A client's own key of an item. "." and ".." are excluded apart: a URL cannot carry them.
KEY_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,128}")
#: Bits of randomness in a job's id: 128, as many as a random UUID, so that it cannot be guessed.
JOB_ID_BYTES = 16
JOB_ID_PATTERN = re.compile(r"[0-9a-f]{32}")


#: Whose jobs are made where no keys are in use.
LOCAL_OWNER = "local"
#: What an owner may be called: it is part of keys in Redis.
OWNER_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

#: Jobs of at most so many items are small: somebody waits for them, so they go before the others.
INTERACTIVE_ITEMS = 16

#: Ports that a webhook's URL need not name.
DEFAULT_PORTS = {"http": 80, "https": 443}


class Queue(StrEnum):
    """The queues of messages. Each has a ring of waiting jobs of the same name."""

    INTERACTIVE = "interactive"
    BULK = "bulk"
    TRAIN = "train"


#: The queues of classification jobs, in the order in which a worker looks into them.
CLASSIFICATION_QUEUES = (Queue.INTERACTIVE, Queue.BULK)


class JobKind(StrEnum):
    """What a job does."""

    CLASSIFICATION = "classification"
    TRAINING = "training"


class JobState(StrEnum):
    """A job's life: open → queued → running → succeeded, failed or cancelled (cancelling on the way to cancelled)."""

    OPEN = "open"
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def done(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class ItemState(StrEnum):
    """An item is pending until it has ended in exactly one of the other three."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Prediction:
    """One ranked answer: a label's index and its probability in [0, 1]."""

    index: int
    score: float


@dataclass(frozen=True)
class Failure:
    """Why something failed: a stable code for programs and a sentence for people."""

    code: str
    detail: str


@dataclass(frozen=True)
class Upload:
    """One picture as it came. `sha256` (hex) is of its bytes, and says where they are stored.

    One that was refused has a `failure` and no `media_type`, and its bytes are not stored.
    """

    key: str
    filename: str
    size: int
    sha256: str
    media_type: str | None = None
    width: int | None = None
    height: int | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Outcome:
    """How one item ended. `at` is in seconds since the epoch; 0 means the moment of the commit."""

    state: ItemState
    predictions: tuple[Prediction, ...] = ()
    failure: Failure | None = None
    at: float = 0.0

    @property
    def best(self) -> Prediction | None:
        """The best prediction, None where there is none."""
        return self.predictions[0] if self.predictions else None


@dataclass(frozen=True)
class Item:
    """One image of a job, with how it ended where it has."""

    upload: Upload
    created_at: float
    outcome: Outcome | None = None
    #: The index of the label that a person gave it, where one did.
    correction: int | None = None

    @property
    def label(self) -> int | None:
        """The index of its label: as it was corrected, else as predicted; None where it is neither."""
        if self.correction is not None:
            return self.correction
        best = self.outcome.best if self.outcome else None
        return best.index if best else None

    @property
    def state(self) -> ItemState:
        """Pending until there is an outcome."""
        return self.outcome.state if self.outcome else ItemState.PENDING


@dataclass(frozen=True)
class Counts:
    """How many items a job has, and how many of them ended in which way."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def finished(self) -> int:
        """Items that have ended."""
        return self.succeeded + self.failed + self.cancelled


@dataclass(frozen=True)
class Job:
    """One submission. Times are seconds since the epoch. Nobody but its owner, and who administers, sees it."""

    id: str
    kind: JobKind
    state: JobState
    created_at: float
    owner: str = LOCAL_OWNER
    #: Of the HTTP request that made it; its log lines and those of the workers have it.
    request_id: str | None = None
    #: The version that classifies, or that a training has made.
    model: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    metadata: Any = None
    #: The URL that is called when the job ends.
    webhook: str | None = None
    counts: Counts = Counts()
    sealed: bool = False
    #: Grows with every change of the state or the counts; the status's ETag is made of it.
    revision: int = 0
    started_at: float | None = None
    #: Items that had ended by then: refused ones, and after a retry those that were done before.
    finished_before: int = 0
    finished_at: float | None = None
    expires_at: float | None = None
    failure: Failure | None = None
    queue_position: int | None = None
    #: Of a training job: steps done and planned, when it will probably end, and whether its model was promoted.
    step: int = 0
    steps: int = 0
    ends_at: float | None = None
    promotion: dict[str, Any] | None = None


@dataclass(frozen=True)
class Chunk:
    """The items that a worker claimed together. `id` is also the fence: a commit counts only while it is known."""

    id: str
    job_id: str
    model: str
    uploads: tuple[Upload, ...]
    #: Of the request that made the job, and for how long the first item has waited for a worker.
    request_id: str | None = None
    waited_s: float = 0.0


@dataclass(frozen=True)
class Training:
    """A training job in a worker's hands. `id` is the fence, as a chunk's; `params` are those of the job."""

    id: str
    job_id: str
    params: dict[str, Any]
    request_id: str | None = None


@dataclass(frozen=True)
class WebhookTarget:
    """The URL that a webhook calls, and its parts; `host` is without brackets, `path` includes the query."""

    url: str
    scheme: str
    host: str
    port: int
    path: str

    @property
    def receiver(self) -> str:
        """Return the host and port that are called."""
        return f"{self._bracketed}:{self.port}"

    @property
    def authority(self) -> str:
        """Return the value of the header `Host`."""
        return self._bracketed if self.port == DEFAULT_PORTS[self.scheme] else self.receiver

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def new_id() -> str:
    """An unguessable id of a job, a chunk or a training: 32 hexadecimal digits."""
    return secrets.token_hex(JOB_ID_BYTES)


def valid_key(key: str) -> bool:
    """Whether `key` may name an item: 1–128 of A-Za-z0-9._- and neither "." nor ".."."""
    return KEY_PATTERN.fullmatch(key) is not None and key not in (".", "..")


def queue_for(kind: JobKind, items: int) -> Queue:
    """Return the queue whose workers a job needs."""
    if kind is JobKind.TRAINING:
        return Queue.TRAIN
    return Queue.INTERACTIVE if items <= INTERACTIVE_ITEMS else Queue.BULK


def blob_key(job_id: str, sha256: str) -> str:
    """Where a job's picture is in the blob store: by its digest, so that other bytes never replace it."""
    return f"{job_folder(job_id)}/{sha256}"


def checkpoint_key(job_id: str) -> str:
    """Where a training job's last checkpoint is in the blob store."""
    return f"{job_folder(job_id)}/checkpoint"


def corrections_key(job_id: str) -> str:
    """Where the corrected pictures that a training job learns from are in the blob store."""
    return f"{job_folder(job_id)}/corrections"


#: Where the blobs of all jobs are.
JOBS_FOLDER = "jobs"


def job_folder(job_id: str) -> str:
    """Where all of a job's blobs are."""
    return f"{JOBS_FOLDER}/{job_id}"
