"""The entities of Darkroom (jobs, items, predictions and others) as immutable values."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: A client's key of an item. "." and ".." are excluded separately: they cannot be part of a URL's path.
KEY_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,128}")
#: Random bytes in a job's id: 128 bits, like a random UUID, so that it cannot be guessed.
JOB_ID_BYTES = 16
JOB_ID_PATTERN = re.compile(r"[0-9a-f]{32}")

#: Owner of the jobs if no API keys are in use.
LOCAL_OWNER = "local"
#: Names of owners, which are part of keys in Redis.
OWNER_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

#: Jobs of at most this many items are interactive: a user waits for them, so they run before the others.
INTERACTIVE_ITEMS = 16

#: Default ports of a webhook's URL.
DEFAULT_PORTS = {"http": 80, "https": 443}


class Queue(StrEnum):
    """Message queues. Each has a ring of waiting jobs of the same name."""

    INTERACTIVE = "interactive"
    BULK = "bulk"
    TRAIN = "train"


#: Queues of classification jobs, in the order in which a worker checks them.
CLASSIFICATION_QUEUES = (Queue.INTERACTIVE, Queue.BULK)


class JobKind(StrEnum):
    """The kind of a job."""

    CLASSIFICATION = "classification"
    IMPORT = "import"
    TRAINING = "training"


class JobState(StrEnum):
    """The states of a job: open → queued → running → (cancelling →) succeeded, failed or cancelled."""

    OPEN = "open"
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def done(self) -> bool:
        """Return whether the job has ended."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class ItemState(StrEnum):
    """The states of an item: pending, then exactly one of the others."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Prediction:
    """A predicted label: its index and its probability in [0, 1]."""

    index: int
    score: float


@dataclass(frozen=True)
class Failure:
    """The reason of a failure: a stable code for programs and a sentence for people."""

    code: str
    detail: str


#: Beginning of the name of a pack in its job's folder.
PACK_PREFIX = "pack-"


@dataclass(frozen=True)
class Upload:
    """An uploaded picture. `sha256` is the hex digest of its bytes.

    A rejected picture has a `failure` and no `media_type`; its bytes are not stored. `label`, `split` and
    `pinned` are those that the picture is to have in a dataset. `pack` is `<name>#<first byte>` if its bytes are in a
    pack of its job; otherwise they are a blob of their own.
    """

    key: str
    filename: str
    size: int
    sha256: str
    media_type: str | None = None
    width: int | None = None
    height: int | None = None
    failure: Failure | None = None
    label: str | None = None
    split: str | None = None
    pinned: bool | None = None
    pack: str | None = None

    @property
    def stored_as(self) -> str:
        """Return what its job calls its bytes, for `blob_key`: their digest, or a part of a pack."""
        return self.sha256 if self.pack is None else f"{PACK_PREFIX}{self.pack}+{self.size}"


class ImportOutcome(StrEnum):
    """What became of an imported picture. PRESENT: the dataset had the same bytes; CONFLICT: with another label."""

    ADDED = "added"
    PRESENT = "present"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Imported:
    """The picture of a dataset that an item became, or that is there already; in a conflict, with its `label`."""

    outcome: ImportOutcome
    picture: int
    label: str | None = None


@dataclass(frozen=True)
class SkippedFile:
    """A skipped file in an archive: an operating system or a photo program added it."""

    archive: str
    filename: str


@dataclass(frozen=True)
class Outcome:
    """The outcome of an item. `at` is in seconds since the epoch; 0 stands for the time of the commit."""

    state: ItemState
    predictions: tuple[Prediction, ...] = ()
    failure: Failure | None = None
    at: float = 0.0
    #: Of an import.
    imported: Imported | None = None
    #: Whether the picture is unlike what the version learnt, or the version too unsure; and how unlike it is, 0 to 1.
    unknown: bool = False
    novelty: float | None = None

    @property
    def best(self) -> Prediction | None:
        """Return the best prediction, or None."""
        return self.predictions[0] if self.predictions else None


@dataclass(frozen=True)
class Item:
    """An image of a job, with its outcome once it has one."""

    upload: Upload
    created_at: float
    outcome: Outcome | None = None
    #: Index of the correct label, if a user has set it.
    correction: int | None = None

    @property
    def unknown(self) -> bool:
        """Return whether the answer is "unknown": the version says so, and no user has set the label."""
        return self.correction is None and self.outcome is not None and self.outcome.unknown

    @property
    def label(self) -> int | None:
        """Return the index of its label, corrected or else predicted, or None, also if it is unknown."""
        if self.correction is not None:
            return self.correction
        if self.unknown:
            return None
        best = self.outcome.best if self.outcome else None
        return best.index if best else None

    @property
    def state(self) -> ItemState:
        """Return the state: pending without an outcome."""
        return self.outcome.state if self.outcome else ItemState.PENDING


@dataclass(frozen=True)
class Counts:
    """Numbers of items of a job: all, and by state."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def finished(self) -> int:
        """Return the number of items that have ended."""
        return self.succeeded + self.failed + self.cancelled


@dataclass(frozen=True)
class Job:
    """A submission. Times are in seconds since the epoch. Only its owner and admins can see it."""

    id: str
    kind: JobKind
    state: JobState
    created_at: float
    owner: str = LOCAL_OWNER
    #: Id of the HTTP request that created the job. Log lines have it.
    request_id: str | None = None
    #: The name of the classifier that answers, or that a training makes a version of.
    classifier: str | None = None
    #: The version that classifies, the Backbone of an import, or the version that a training has made.
    model: str | None = None
    #: Id of the dataset that pictures are imported into, or that the training learns from.
    dataset: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    metadata: Any = None
    #: URL to call when the job ends.
    webhook: str | None = None
    counts: Counts = Counts()
    #: Files in its archives that were skipped, and encodings that were guessed for names in archives.
    skipped: int = 0
    guessed: tuple[str, ...] = ()
    sealed: bool = False
    #: Grows with every change of state or counts; part of the status's ETag.
    revision: int = 0
    started_at: float | None = None
    #: Items that had ended at `started_at`: rejected ones, and after a retry those that ended before.
    finished_before: int = 0
    finished_at: float | None = None
    expires_at: float | None = None
    failure: Failure | None = None
    queue_position: int | None = None
    #: Of a training: steps done and planned, estimated end, and the decision about its promotion.
    step: int = 0
    steps: int = 0
    ends_at: float | None = None
    promotion: dict[str, Any] | None = None


@dataclass(frozen=True)
class Chunk:
    """Items that a worker has claimed together. `id` is the fencing token: a commit counts only while it is known."""

    id: str
    job_id: str
    #: Version to classify with, or the Backbone for pictures that are imported into `dataset`.
    model: str
    uploads: tuple[Upload, ...]
    #: Id of the request that created the job, and seconds that the first item has waited for a worker.
    request_id: str | None = None
    waited_s: float = 0.0
    dataset: str | None = None


@dataclass(frozen=True)
class Training:
    """A claimed training job. `id` is the fencing token, as in a chunk; `params` are those of the job.

    `dataset` is the id of the dataset that it learns from; None for CIFAR-10.
    """

    id: str
    job_id: str
    params: dict[str, Any]
    request_id: str | None = None
    dataset: str | None = None


@dataclass(frozen=True)
class WebhookTarget:
    """The parsed URL of a webhook; `host` has no brackets, `path` includes the query."""

    url: str
    scheme: str
    host: str
    port: int
    path: str

    @property
    def receiver(self) -> str:
        """Return host and port."""
        return f"{self._bracketed}:{self.port}"

    @property
    def authority(self) -> str:
        """Return the value of the header `Host`."""
        return self._bracketed if self.port == DEFAULT_PORTS[self.scheme] else self.receiver

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def new_id() -> str:
    """Return an unguessable id for a job, a chunk or a training: 32 hexadecimal digits."""
    return secrets.token_hex(JOB_ID_BYTES)


def valid_key(key: str) -> bool:
    """Return whether `key` is a valid item key: 1 to 128 of A-Za-z0-9._- and neither "." nor ".."."""
    return KEY_PATTERN.fullmatch(key) is not None and key not in (".", "..")


def queue_for(kind: JobKind, items: int) -> Queue:
    """Return the queue whose workers a job needs."""
    if kind is JobKind.TRAINING:
        return Queue.TRAIN
    return Queue.INTERACTIVE if items <= INTERACTIVE_ITEMS else Queue.BULK


def blob_key(job_id: str, stored_as: str) -> str:
    """Return the key of a picture. It contains a digest of the blob, so that other bytes never replace it."""
    return f"{job_folder(job_id)}/{stored_as}"


def checkpoint_key(job_id: str) -> str:
    """Return the blob key of a training's last checkpoint."""
    return f"{job_folder(job_id)}/checkpoint"


def corrections_key(job_id: str) -> str:
    """Return the blob key of the corrected pictures that a training learns from."""
    return f"{job_folder(job_id)}/corrections"


def targets_key(job_id: str) -> str:
    """Return the blob key of the answers that a training learns instead of its labels."""
    return f"{job_folder(job_id)}/targets"


def snapshot_key(job_id: str) -> str:
    """Return the blob key of the pictures of a dataset that a training learns from."""
    return f"{job_folder(job_id)}/snapshot"


#: Folder of the blobs of all jobs.
JOBS_FOLDER = "jobs"


def job_folder(job_id: str) -> str:
    """Return the folder of a job's blobs."""
    return f"{JOBS_FOLDER}/{job_id}"
