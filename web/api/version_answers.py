"""What a version answered to the test pictures of its dataset: the pictures behind its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flask import Blueprint, Response, jsonify, request

from shared.datasets.entities import Picture
from shared.domain.card import ANSWERS_FILE, ModelCard
from shared.domain.errors import Conflict, Fault, InvalidRequest, NotFound
from shared.jobs.cursors import decode_cursor, encode_cursor
from shared.models.answers import Answered, AnswerFilter, surest_first, thresholds, unpack_answers
from web.api.paging import linked
from web.api.results import label_index
from web.auth.access import ANY_KEY, allow, visible_card
from web.openapi.operation import Answer, operation
from web.schemas import responses
from web.schemas.requests import query
from web.schemas.version_answers import (
    AnswersQuery,
    ThresholdList,
    VersionAnswer,
    VersionAnswerPage,
    answer_json,
    best_json,
)
from web.state import caller, services

blueprint = Blueprint("version_answers", __name__, url_prefix="/v1/models")


@dataclass(frozen=True)
class Tested:
    """A version and its answers, by number of the picture."""

    card: ModelCard
    answers: Mapping[int, Answered]

    @property
    def dataset(self) -> str | None:
        """Return the id of the Dataset."""
        return self.card.dataset.id if self.card.dataset else None

    def best(self, n: int) -> responses.Prediction:
        """Return the answer to a picture as JSON."""
        return best_json(self.card, self.answers[n])


@blueprint.get("/<version>/answers")
@allow(ANY_KEY)
@operation({200: Answer(VersionAnswerPage, ["Link"])}, query=AnswersQuery, problems=[409])
def index(version: str) -> Response:
    """List what a version of an owner's dataset answered to its test pictures.

    `label` and `answer` together choose a cell of the confusion matrix; `right=false&sort=surest` are the worst
    mistakes first. `against` and `changed` list what another version answers otherwise.
    """
    asked, tested = query(AnswersQuery, request), _tested(version)
    other = _other(tested, asked.against) if asked.against else None
    found = list(_found(tested, asked, other))
    order = f"answers-{asked.sort}"
    place = 0 if asked.after is None else decode_cursor(order, asked.after, int)
    shown = (surest_first(found) if asked.sort else found)[place : place + asked.limit]
    end = place + len(shown)
    following = encode_cursor(order, end) if end < len(found) else None
    return linked(jsonify({"data": _json(tested, shown, other), "total": len(found), "next": following}), following)


@blueprint.get("/<version>/thresholds")
@allow(ANY_KEY)
@operation({200: Answer(ThresholdList)})
def by_threshold(version: str) -> Response:
    """Count the test pictures that would get an answer, and a right one, by the lowest score of an answer.

    The scores are in steps of 0.01, with that of the version's own rule for unknown pictures. A picture that is too
    unlike the training pictures by this rule gets no answer at any score.
    """
    tested = _tested(version)
    unknown, answers = tested.card.unknown, list(tested.answers.values())
    data = [counts._asdict() for counts in thresholds(answers, unknown)]
    return jsonify({"data": data, "score": unknown.score if unknown else None, "pictures": len(answers)})


def _tested(version: str) -> Tested:
    """Return a version and its answers. Raise NotFound."""
    card = visible_card(version)
    try:
        answers = unpack_answers(services().registry.file(version, ANSWERS_FILE))
    except NotFound as error:
        raise NotFound(f"{version} has no answers to test pictures of a dataset") from error
    return Tested(card, {answer.n: answer for answer in answers})


def _other(tested: Tested, version: str) -> Tested:
    """Return the version in `against`. Raise InvalidRequest, or Conflict if it is of another Dataset."""
    try:
        other = _tested(version)
    except NotFound as error:
        raise InvalidRequest(str(error), [Fault("against", str(error))]) from error
    if other.dataset != tested.dataset:
        raise Conflict(f"{version} was not tested on pictures of the same dataset")
    return other


def _found(tested: Tested, asked: AnswersQuery, other: Tested | None) -> Iterator[Answered]:
    """Yield the answers that match the query."""
    labels, right = tested.card.labels, None if asked.right is None else asked.right == "true"
    wanted = AnswerFilter(label_index(asked.label, labels), label_index(asked.answer, labels, "answer"), right)
    for n, answer in tested.answers.items():
        if wanted.matches(answer) and (other is None or _has_changed(answer, other.answers.get(n), asked.changed)):
            yield answer


def _has_changed(answer: Answered, before: Answered | None, how: str | None) -> bool:
    """Return whether another version was tested on the picture too, and whether the answer has changed as asked.

    Both are judged by the Label that the picture had when the later one was made.
    """
    if before is None or how is None:
        return before is not None
    return (answer.right, before.answer == answer.label) == (how == "better", how == "worse")


def _json(tested: Tested, answers: Sequence[Answered], other: Tested | None) -> list[VersionAnswer]:
    pictures, labels = _pictures(tested, [answer.n for answer in answers])
    return [
        answer_json(tested.card, answer, other.best(answer.n) if other else None, pictures.get(answer.n), labels)
        for answer in answers
    ]


def _pictures(tested: Tested, numbers: Sequence[int]) -> tuple[Mapping[int, Picture], Mapping[int, str]]:
    """Return those pictures that are still in the caller's Dataset, and the names of its Labels."""
    parts, dataset = services(), tested.card.dataset
    try:
        if dataset is None or parts.datasets.find(caller().owner, dataset.name) != dataset.id:
            return {}, {}  # deleted, and perhaps another has its name now; or it belongs to somebody else
        return parts.dataset_pictures.many(dataset.id, numbers), parts.dataset_labels.names(dataset.id)
    except NotFound:
        return {}, {}
