"""What a version answered to the test pictures of its dataset, in requests and responses, and its serializer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import TypedDict

from shared.datasets.entities import Picture
from shared.domain.card import ModelCard
from shared.models.answers import Answered
from web.schemas import responses
from web.schemas.datasets import LABEL_TEXT, DatasetPicture, PictureId, picture_json
from web.schemas.requests import Paged


class AnswersQuery(Paged):
    """`GET /v1/models/{version}/answers`."""

    label: str | None = Field(None, max_length=LABEL_TEXT, description="Of the picture: a name or an index.")
    answer: str | None = Field(None, max_length=LABEL_TEXT, description="Of the version: a name or an index.")
    right: Literal["true", "false"] | None = None
    sort: Literal["surest"] | None = Field(None, description="The highest scores first. Default: by picture.")
    against: str | None = Field(
        None, description="Another version of the dataset. Only pictures that both were tested on are listed."
    )
    changed: Literal["better", "worse"] | None = Field(
        None, description="Only right answers that are wrong in the version `against`, or wrong ones that are right."
    )

    @model_validator(mode="after")
    def _changed_against_something(self) -> Self:
        if self.changed and not self.against:
            raise ValueError("`changed` needs `against`")
        return self


class VersionAnswer(TypedDict):
    """What a version answered to a test picture."""

    id: PictureId
    label: Annotated[str, Field(description="The label that the picture had when the version was made.")]
    prediction: Annotated[responses.Prediction, Field(description="The best one.")]
    novelty: Annotated[responses.Share | None, Field(description="How unlike the training pictures it is.")]
    unknown: Annotated[bool, Field(description="Whether the version answers unknown by its rule.")]
    before: Annotated[responses.Prediction | None, Field(description="Of the version `against`.")]
    picture: Annotated[DatasetPicture | None, Field(description="As it is now; null if it was deleted.")]


class VersionAnswerPage(TypedDict):
    """A page of answers."""

    data: list[VersionAnswer]
    total: Annotated[responses.Count, Field(description="Answers that match, on all pages.")]
    next: responses.Cursor | None


class ThresholdCounts(TypedDict):
    """The test pictures that would get an answer if it needed at least this score, and a right one."""

    score: responses.Share
    answered: responses.Count
    right: responses.Count


class ThresholdList(TypedDict):
    """Counts by the lowest score of an answer."""

    data: list[ThresholdCounts]
    score: Annotated[responses.Share | None, Field(description="What the version needs; null: every score will do.")]
    pictures: Annotated[responses.Count, Field(description="All test pictures.")]


def answer_json(
    card: ModelCard,
    answer: Answered,
    before: responses.Prediction | None,
    picture: Picture | None,
    labels: Mapping[int, str],
) -> VersionAnswer:
    """Return the JSON of an answer; `labels` are the names in the dataset by index, of the picture as it is now."""
    return {
        "id": str(answer.n),
        "label": card.labels[answer.label],
        "prediction": best_json(card, answer),
        "novelty": answer.novelty,
        "unknown": card.unknown is not None and card.unknown.covers(answer.score, answer.novelty),
        "before": before,
        "picture": picture_json(card.dataset.name, picture, labels) if picture and card.dataset else None,
    }


def best_json(card: ModelCard, answer: Answered) -> responses.Prediction:
    """Return the JSON of the best Prediction."""
    return {"index": answer.answer, "label": card.labels[answer.answer], "score": answer.score}
