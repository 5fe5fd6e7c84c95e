"""The card of a published model, `card.json` beside `model.keras`: what it is, how it was made, and its metrics.

Serving, listing and comparing models needs only the card, not the network.
"""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from shared.domain.classifier import CIFAR10, Classifier
from shared.domain.errors import InvalidRequest, NotFound
from shared.domain.preprocessing import Preprocessing

#: Files in a published model's folder: the network for Keras, unless the version was imported from another format; the
#: network for OpenVINO, if it could be converted (see `worker.serving.openvino_runtime`); the card. If the model was
#: measured: its predictions and the true labels, one byte (label index) per test image in the data set's order; and an
#: image of confusions (see `worker.evaluation.confusions`).
MODEL_FILE: Final = "model.keras"
OPENVINO_FILE: Final = "openvino.zip"
CARD_FILE = "card.json"
#: The Head of a version that was trained on a Backbone's Embeddings; see `worker.serving.head`.
HEAD_FILE = "head.npz"
#: The pictures of the Dataset that a version learnt from and was tested on; see `worker.datasets.snapshot`.
SNAPSHOT_FILE = "snapshot.npz"
#: Its answers to the test pictures of its Dataset, with their scores; see `shared.models.answers`.
ANSWERS_FILE = "test_answers.bin"
PREDICTIONS_FILE, TRUTH_FILE, CONFUSIONS_FILE = "test_predictions.bin", "test_truth.bin", "confusions.png"

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Outputs = Literal["probabilities", "independent"]
NetworkFile = Literal["model.keras", "openvino.zip"]
Software = Literal["python", "keras", "tensorflow", "openvino", "numpy"]


class _Part(BaseModel):
    """Rejects unknown fields, and NaN and infinity, which JSON does not have."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Input(_Part):
    """The pictures that a version takes, RGB of shape (n, height, width, channels), before its `preprocessing`."""

    height: int = Field(gt=0, description="pixels")
    width: int = Field(gt=0, description="pixels")
    channels: int = Field(gt=0, description="3: red, green, blue")
    value_range: tuple[int, int] = Field(default=(0, 255), description="minimum and maximum of a channel")


class DatasetInfo(_Part):
    """The images that the model was trained and measured on. `id` and `revision` are those of a Dataset of an owner."""

    name: str
    id: str | None = Field(default=None, description="of the owner's dataset; null for CIFAR-10")
    revision: Count | None = Field(default=None, description="of the owner's dataset when the training started")
    digest: Sha256 = Field(
        description="over x_train, y_train, x_test, y_test as uint8 in C order, before the split; with corrections, "
        "over that digest and each corrected picture's digest and label; of an owner's dataset over the labels and "
        "the digest, label and split of each picture"
    )
    train: Count = Field(description="training images, repeats included")
    validation: Count = Field(description="images split off the training images, for choices")
    test: Count = Field(description="images used only for `metrics`")


class CorrectionsInfo(_Part):
    """The corrected pictures: how many the model was trained on, and its accuracy on the held-out set.

    A quarter is held out, chosen by digest: always the same pictures, so no version was trained on them.
    """

    base_digest: Sha256 = Field(description="digest of the data set without corrections, which has the test images")
    learnt: Count = Field(description="corrected pictures in the training set")
    weight: int = Field(gt=0, description="repeats of each of these in the training set")
    held_out: Count = Field(description="corrected pictures in the held-out set")
    accuracy: Share | None = Field(default=None, description="on the held-out set, as served; null if it is empty")
    champion: str | None = Field(default=None, description="champion when this version was made")
    champion_accuracy: Share | None = Field(default=None, description="its accuracy; null if its labels differ")


class BackboneRef(_Part):
    """The Backbone whose Embeddings the version's Head was trained on."""

    version: str = Field(
        description="ModelVersion that is the Backbone; the version itself if that was trained as well"
    )
    openvino_sha256: Sha256 = Field(description="digest of its network")
    head_sha256: Sha256 = Field(description="digest of `head.npz`")


class Unknown(_Part):
    """When the answer is "unknown": the best score is too low, or the picture is too unlike the training pictures."""

    score: Share = Field(description="best score, at least")
    distance: Share | None = Field(
        default=None, description="cosine distance to the nearest training picture, at most; null: any"
    )
    accepted: Share = Field(description="share of known pictures, not trained on, that get an answer by this")

    def covers(self, score: float, novelty: float | None = None) -> bool:
        """Return whether a picture with this best score and distance is unknown."""
        return score < self.score or self.too_far(novelty)

    def too_far(self, novelty: float | None) -> bool:
        """Return whether a picture at this distance is unknown, whatever its score."""
        return self.distance is not None and novelty is not None and novelty > self.distance


class Hardware(_Part):
    """The machine that trained or imported the version, and measured `latency`."""

    cpu: str = Field(description="model name, from the operating system")
    cores: int = Field(gt=0, description="cores that the process could use")
    gpu: str | None = Field(default=None, description="model name, or null if none was used")


class ClassMetrics(_Part):
    """Metrics of one class; 0/0 counts as 0."""

    label: str
    precision: Share
    recall: Share
    recall_interval: tuple[Share, Share] | None = Field(
        default=None, description="95 % (Wilson 1927); null without test images"
    )
    f1: Share
    support: Count = Field(description="test images of this class")


class Metrics(_Part):
    """Metrics on the test images, which were not used for any choice."""

    accuracy: Share
    accuracy_interval: tuple[Share, Share] | None = Field(default=None, description="95 % (Wilson 1927)")
    loss: float = Field(ge=0, description="mean cross-entropy, in nats")
    per_class: tuple[ClassMetrics, ...] = Field(description="in the order of `labels`")
    confusion_matrix: tuple[tuple[Count, ...], ...] = Field(description="images; rows = truth, columns = prediction")
    calibration_error: Share = Field(description="expected, 15 equal-width bins (Guo et al. 2017, arXiv:1706.04599)")


class Bin(_Part):
    """Test images whose confidence (maximum probability) is in the interval that ends at `upper`."""

    upper: Share
    count: Count = Field(description="images")
    confidence: Share = Field(description="mean confidence; 0 in an empty bin, like `accuracy`")
    accuracy: Share


class Calibration(_Part):
    """Calibration on the test images. The temperature was fitted on the validation images."""

    temperature: Positive = Field(description="divisor of the logits in the published network")
    error_before: Share = Field(description="expected calibration error without it")
    error_after: Share = Field(description="with it, as published; the same as `metrics.calibration_error`")
    loss_before: float = Field(ge=0, description="mean cross-entropy without it, in nats")
    reliability: tuple[Bin, ...] = Field(description="as published, in equal-width bins of confidence")


class Views(_Part):
    """Test-time augmentation: the number of views that are averaged, and the accuracy on the test images.

    The model file computes one view; `worker.serving.forward` does the rest.
    """

    served: Literal[1, 6, "adaptive"] = Field(
        description="number of views for `metrics` and `latency`; adaptive: six if one view is not confident"
    )
    threshold: Share | None = Field(default=None, description="adaptive: minimum confidence to use one view")
    share: Share | None = Field(default=None, description="adaptive: share of the test images with six views")
    single_accuracy: Share = Field(description="accuracy with the image alone")
    six_accuracy: Share = Field(description="accuracy with the image and its mirror image, each also shifted twice")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if {self.threshold is not None, self.share is not None} != {self.served == "adaptive"}:
            raise ValueError("threshold and share belong to adaptive views, and only to them")
        return self


class Size(_Part):
    """Size of the model."""

    file_bytes: int = Field(gt=0)
    parameters: Count = Field(description="weights and biases, trainable or not")


class Latency(_Part):
    """Speed of the compiled forward pass, without decoding and queue."""

    single_image_ms: Positive = Field(description="one image, median")
    batch_images_per_second: Positive = Field(description="in batches of `batch_size`, from the median")
    batch_size: int = Field(gt=0)
    repeats: int = Field(gt=0, description="forward passes behind each median")


class Epoch(_Part):
    """One row of the training history; losses in nats."""

    epoch: int = Field(ge=1)
    loss: float = Field(description="running mean over the epoch; so is `accuracy`")
    accuracy: Share
    val_loss: float = Field(description="on the validation images after the epoch; so is `val_accuracy`")
    val_accuracy: Share
    seconds: float = Field(ge=0, description="wall clock, validation included")


class ModelCard(_Part):
    """The card of a ModelVersion. Immutable, like the version.

    Imported models have no data set, seed or training time, and no `metrics` if they were not measured. Models that
    were trained here have all of them.
    """

    schema_version: Literal[1] = 1
    version: str = Field(pattern=r"^[a-z0-9_]+-\d{8}-[0-9a-f]{8}$", description="preset-date-start of `file_sha256`")
    owner: str | None = Field(default=None, description="owner of the classifier; null: it ships with Darkroom")
    classifier: str = Field(default=CIFAR10.name, description="name of the classifier that the version belongs to")
    preset: str
    params: dict[str, bool | int | float | str | None] = Field(description="hyperparameters")
    labels: tuple[str, ...] = Field(min_length=1, description="class names by index")
    input: Input
    preprocessing: Preprocessing = Field(default=Preprocessing(), description="from a picture to the network's input")
    outputs: Outputs = Field(default="probabilities", description="independent: each label has a score of its own")
    notes: tuple[str, ...] = Field(default=(), description="what an import has inferred, as sentences")
    dataset: DatasetInfo | None = None
    corrections: CorrectionsInfo | None = Field(default=None, description="if the data set has corrected pictures")
    seed: Count | None = None
    code_version: str | None = Field(
        default=None, description="digest of the source that trained it; see `worker.publishing.publish`"
    )
    source: str | None = Field(default=None, description="name of the imported file")
    source_sha256: Sha256 | None = Field(default=None, description="digest of the imported file")
    versions: dict[Software, str]
    hardware: Hardware
    metrics: Metrics | None = None
    calibration: Calibration | None = None
    embedding: int | None = Field(default=None, gt=0, description="dimensions of its Embedding if it is a Backbone")
    backbone: BackboneRef | None = Field(default=None, description="if it is a Head on a Backbone")
    unknown: Unknown | None = Field(default=None, description="null: every picture gets an answer")
    views: Views | None = None
    size: Size
    latency: Latency
    history: tuple[Epoch, ...]
    best_epoch: int | None = Field(default=None, ge=1, description="epoch of these weights, chosen by validation")
    parent: str | None = Field(default=None, description="version that the training started from")
    created_at: AwareDatetime = Field(description="UTC, RFC 3339")
    network_file: NetworkFile = Field(
        default="model.keras",
        description="openvino.zip: it was imported from another format than Keras's, and has no other",
    )
    file_sha256: Sha256 = Field(description="digest of the file that `network_file` names")
    openvino_sha256: Sha256 | None = Field(default=None, description="digest of `openvino.zip`, if there is one")
    training_seconds: float | None = Field(default=None, ge=0, description="wall clock of the training only")

    @property
    def belongs_to(self) -> Classifier:
        """Return the Classifier that the version belongs to."""
        return Classifier(self.classifier, self.owner)

    @property
    def has_keras(self) -> bool:
        """Return whether there is a network for Keras; else there is only the one for OpenVINO."""
        return self.network_file == MODEL_FILE

    @property
    def is_backbone(self) -> bool:
        """Return whether Heads can be trained on it. A tuned network is only its own Backbone."""
        return self.embedding is not None and self.backbone is None

    @property
    def is_own_backbone(self) -> bool:
        """Return whether the version's Head is on a Backbone that was trained with it."""
        return self.backbone is not None and self.backbone.version == self.version

    @field_validator("created_at")
    @classmethod
    def _in_utc(cls, time: datetime) -> datetime:
        return time.astimezone(UTC)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if not self.version.endswith(self.file_sha256[:8]):
            raise ValueError("version must end in the first 8 digits of file_sha256")
        if not self.has_keras and self.openvino_sha256 != self.file_sha256:
            raise ValueError("without model.keras, file_sha256 and openvino_sha256 must be the same")
        if self.metrics is not None:
            self._check_metrics(self.metrics)
        return self

    def _check_metrics(self, metrics: Metrics) -> None:
        if tuple(row.label for row in metrics.per_class) != self.labels:
            raise ValueError("metrics.per_class must have the order of labels")
        if [len(row) for row in metrics.confusion_matrix] != [len(self.labels)] * len(self.labels):
            raise ValueError("metrics.confusion_matrix must be labels × labels")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the card in the file `path`. Raises NotFound if there is none, InvalidRequest if it is not a card."""
        place = f"{path.parent.name}/{path.name}"
        try:
            return cls.parse(path.read_bytes(), place)
        except FileNotFoundError as error:
            raise NotFound(f"There is no model card at {place}.") from error

    @classmethod
    def parse(cls, content: bytes, place: str) -> Self:
        """Return the card in the JSON `content`, read from `place`. Raises InvalidRequest if it is not a card."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            where = ".".join(map(str, fault["loc"])) or "the file"
            raise InvalidRequest(f"{place} is not a model card: {where}: {fault['msg']}.") from error

    def write(self, path: Path) -> None:
        """Write the card as JSON to `path`, atomically."""
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            with temporary.open("x", encoding="utf-8") as file:
                file.write(self.model_dump_json(indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
