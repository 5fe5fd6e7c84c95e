"""The card of a published model, `card.json` beside `model.keras`: what it is, how it was made, and how good it is.

Whoever serves, lists or compares models reads the card, and never has to load the network for it.
"""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from shared.domain.errors import InvalidRequest, NotFound

#: Names of the files in a published model's folder: the network as Keras loads it, and the same as OpenVINO does, where
#: it could be made, see `worker.serving.openvino_runtime`. The last three are absent where the model was not measured:
#: one byte per test image, in the data set's order, with the index of the label that the served model answers; the same
#: with that of the right one; and a picture of the confusions, see `worker.evaluation.confusions`.
MODEL_FILE, OPENVINO_FILE, CARD_FILE = "model.keras", "openvino.zip", "card.json"
PREDICTIONS_FILE, TRUTH_FILE, CONFUSIONS_FILE = "test_predictions.bin", "test_truth.bin", "confusions.png"

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Software = Literal["python", "keras", "tensorflow", "openvino", "numpy"]


class _Part(BaseModel):
    """Unknown fields are refused, and so are NaN and infinity, which JSON cannot carry."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Input(_Part):
    """What the network takes: RGB rows of shape (n, height, width, channels); it scales the values itself."""

    height: int = Field(gt=0, description="pixels")
    width: int = Field(gt=0, description="pixels")
    channels: int = Field(gt=0, description="3: red, green, blue")
    value_range: tuple[int, int] = Field(default=(0, 255), description="least and greatest value of a channel")


class DatasetInfo(_Part):
    """The images that the model was trained and measured on."""

    name: str
    digest: Sha256 = Field(
        description="over x_train, y_train, x_test, y_test as uint8 in C order, before the split; with corrections, "
        "over that digest and each corrected picture's digest and label"
    )
    train: Count = Field(description="images that the weights were fitted to, each as often as it counts")
    validation: Count = Field(description="images held out of the training images, for choices")
    test: Count = Field(description="images used once, for `metrics`")


class CorrectionsInfo(_Part):
    """The pictures that people corrected: what the model learnt of them, and how it does on those that it did not see.

    A quarter of them is held out, by their digest: always the same ones, so no version has learnt from them.
    """

    base_digest: Sha256 = Field(description="of the data set without them, whose test images `metrics` are about")
    learnt: Count = Field(description="corrected pictures that the weights were fitted to")
    weight: int = Field(gt=0, description="how often each of these stands among the training images")
    held_out: Count = Field(description="corrected pictures that were not learnt from")
    accuracy: Share | None = Field(default=None, description="on those held out, as served; null where there are none")
    champion: str | None = Field(default=None, description="the version that served new jobs when this one was made")
    champion_accuracy: Share | None = Field(default=None, description="that version's; null where it is for others")


class Hardware(_Part):
    """The machine that made the version: trained or imported it, and measured `latency`."""

    cpu: str = Field(description="model name as the operating system gives it")
    cores: int = Field(gt=0, description="cores that the process could use")
    gpu: str | None = Field(default=None, description="model name, or null where none was used")


class ClassMetrics(_Part):
    """How well one class is recognised; a ratio without cases (0/0) is 0."""

    label: str
    precision: Share
    recall: Share
    f1: Share
    support: Count = Field(description="test images of this class")


class Metrics(_Part):
    """Measured on the test images, which no choice has seen."""

    accuracy: Share
    loss: float = Field(ge=0, description="mean cross-entropy, in nats")
    per_class: tuple[ClassMetrics, ...] = Field(description="in the order of `labels`")
    confusion_matrix: tuple[tuple[Count, ...], ...] = Field(description="images; rows = truth, columns = prediction")
    calibration_error: Share = Field(description="expected, 15 equal-width bins (Guo et al. 2017, arXiv:1706.04599)")


class Bin(_Part):
    """The test images whose confidence, their greatest probability, lies in one interval that ends at `upper`."""

    upper: Share
    count: Count = Field(description="images")
    confidence: Share = Field(description="their mean; 0 where there are none, and so is `accuracy`")
    accuracy: Share


class Calibration(_Part):
    """How far probabilities can be taken at their word, on the test images; the validation images chose T."""

    temperature: Positive = Field(description="by which the published network divides its logits")
    error_before: Share = Field(description="expected calibration error without it")
    error_after: Share = Field(description="with it, as published; the same as `metrics.calibration_error`")
    loss_before: float = Field(ge=0, description="mean cross-entropy without it, in nats")
    reliability: tuple[Bin, ...] = Field(description="as published, in equal-width bins of confidence")


class Views(_Part):
    """Over how many views of an image the answer is averaged, and the accuracy on the test images either way.

    The file holds the network for one view; whoever serves it does the rest, see `worker.serving.forward`.
    """

    served: Literal[1, 6, "adaptive"] = Field(
        description="what `metrics` and `latency` are about; adaptive: six where one view is not sure"
    )
    threshold: Share | None = Field(default=None, description="adaptive: confidence of one view that makes it sure")
    share: Share | None = Field(default=None, description="adaptive: of the test images, those that got six views")
    single_accuracy: Share = Field(description="of the image alone")
    six_accuracy: Share = Field(description="of the image and its mirror image, in place and shifted by a pixel twice")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if {self.threshold is not None, self.share is not None} != {self.served == "adaptive"}:
            raise ValueError("threshold and share belong to adaptive views, both of them, and to no other")
        return self


class Size(_Part):
    """How big the model is."""

    file_bytes: int = Field(gt=0)
    parameters: Count = Field(description="weights and biases, trainable or not")


class Latency(_Part):
    """Compiled forward pass alone: no decoding, no queue."""

    single_image_ms: Positive = Field(description="one image, median")
    batch_images_per_second: Positive = Field(description="in batches of `batch_size`, from the median")
    batch_size: int = Field(gt=0)
    repeats: int = Field(gt=0, description="forward passes behind each median")


class Epoch(_Part):
    """One row of the training history; losses in nats."""

    epoch: int = Field(ge=1)
    loss: float = Field(description="mean over the epoch, while the weights were changing; so is `accuracy`")
    accuracy: Share
    val_loss: float = Field(description="on the validation images after the epoch; so is `val_accuracy`")
    val_accuracy: Share
    seconds: float = Field(ge=0, description="wall clock, validation included")


class ModelCard(_Part):
    """Everything known about one ModelVersion. Immutable, like the version itself.

    Of an imported model nobody may know the data set, the seed or how long it was trained, and `metrics` is absent
    where it was not measured; of a model that was trained here all of these are there.
    """

    schema_version: Literal[1] = 1
    version: str = Field(pattern=r"^[a-z0-9_]+-\d{8}-[0-9a-f]{8}$", description="preset-date-start of `file_sha256`")
    preset: str
    params: dict[str, bool | int | float | str | None] = Field(description="the hyperparameters that were used")
    labels: tuple[str, ...] = Field(min_length=1, description="class names at their index")
    input: Input
    outputs: Literal["probabilities"] = "probabilities"
    dataset: DatasetInfo | None = None
    corrections: CorrectionsInfo | None = Field(default=None, description="where the data set has corrected pictures")
    seed: Count | None = None
    code_version: str | None = Field(
        default=None, description="which source trained it; see `worker.publishing.publish`"
    )
    source: str | None = Field(default=None, description="name of the file that it was imported from, if it was")
    source_sha256: Sha256 | None = Field(default=None, description="digest of that file")
    versions: dict[Software, str]
    hardware: Hardware
    metrics: Metrics | None = None
    calibration: Calibration | None = None
    views: Views | None = None
    size: Size
    latency: Latency
    history: tuple[Epoch, ...]
    best_epoch: int | None = Field(default=None, ge=1, description="whose weights these are, by the validation images")
    parent: str | None = Field(default=None, description="the version that training started from, if any")
    created_at: AwareDatetime = Field(description="UTC, RFC 3339")
    file_sha256: Sha256 = Field(description="digest of `model.keras`")
    openvino_sha256: Sha256 | None = Field(default=None, description="digest of `openvino.zip`, where there is one")
    training_seconds: float | None = Field(default=None, ge=0, description="wall clock of the training alone")

    @field_validator("created_at")
    @classmethod
    def _in_utc(cls, moment: datetime) -> datetime:
        return moment.astimezone(UTC)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.version.endswith(self.file_sha256[:8]):
            raise ValueError("version does not end in the first 8 digits of file_sha256")
        if self.metrics is not None:
            self._measures_every_label(self.metrics)
        return self

    def _measures_every_label(self, metrics: Metrics) -> None:
        if tuple(row.label for row in metrics.per_class) != self.labels:
            raise ValueError("metrics.per_class does not follow labels")
        if [len(row) for row in metrics.confusion_matrix] != [len(self.labels)] * len(self.labels):
            raise ValueError("metrics.confusion_matrix is not labels × labels")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the card in the file `path`; NotFound where there is none, InvalidRequest where it is not a card."""
        place = f"{path.parent.name}/{path.name}"
        try:
            return cls.parse(path.read_bytes(), place)
        except FileNotFoundError as error:
            raise NotFound(f"There is no model card at {place}.") from error

    @classmethod
    def parse(cls, content: bytes, place: str) -> Self:
        """Return the card in the JSON `content`, found at `place`. Raises InvalidRequest where it is not a card."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            where = ".".join(map(str, fault["loc"])) or "the whole"
            raise InvalidRequest(f"{place} is not a model card: {where}: {fault['msg']}.") from error

    def write(self, path: Path) -> None:
        """Write the card as JSON to `path`; a reader sees the old file or the whole new one, never a part."""
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            with temporary.open("x", encoding="utf-8") as file:
                file.write(self.model_dump_json(indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
