"""The report on a Dataset in responses, and its serializer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from shared.datasets.entities import DatasetRecord, LabelCounts, Picture, Rejection
from shared.datasets.report import Doubted, Findings, Judgement, Opinion, Opinions
from shared.domain.times import rfc3339
from shared.training.own_datasets import MIN_PICTURES
from web.schemas import responses
from web.schemas.datasets import PictureId, Suggestion, suggestion

#: Pictures of a Label from which its figures are worth something, and the ratio of two Labels that is unbalanced.
ENOUGH, IMBALANCE = 50, 10

Problem = Literal["too_few", "few"]


class ThinLabel(TypedDict):
    """A label with few pictures."""

    label: str
    pictures: responses.Count
    problem: Annotated[Problem, Field(description="Too few to train, or fewer than 50.")]


class Imbalance(TypedDict):
    """The labels with the most and the fewest pictures, if the ratio is over 10."""

    most: str
    fewest: str
    ratio: float


class LabelledPicture(TypedDict):
    """A picture and its label."""

    id: PictureId
    label: str | None


class NearCopies(TypedDict):
    """Groups of pictures that are near copies of each other."""

    groups: responses.Count
    groups_with_several_labels: responses.Count
    listed: Annotated[list[list[LabelledPicture]], Field(description="Groups with several labels are first.")]


class TinyPictures(TypedDict):
    """Pictures whose shorter side has fewer than 64 pixels."""

    pictures: responses.Count
    listed: list[PictureId]


class Similar(TypedDict):
    """A picture that resembles another one."""

    id: PictureId
    label: str | None
    similarity: Annotated[float, Field(description="Cosine of the embeddings.")]


class DoubtedPicture(TypedDict):
    """A picture whose label seems wrong."""

    id: PictureId
    label: str | None
    doubt: responses.Share
    suggested: Suggestion | None
    neighbours: Annotated[list[Similar], Field(description="Those that resemble it most, with their labels.")]


class DoubtedPictures(TypedDict):
    """Pictures whose labels seem wrong."""

    pictures: responses.Count
    listed: Annotated[list[DoubtedPicture], Field(description="The most doubted first.")]


class Unanswered(TypedDict):
    """Numbers of pictures that the classifier would call unknown."""

    labelled: responses.Count
    unlabelled: responses.Count


class CurvePointJson(TypedDict):
    """The accuracy on held-out pictures after learning from a share of the others."""

    share: responses.Share
    pictures: responses.Count
    accuracy: responses.Share
    interval: Annotated[list[float], Field(min_length=2, max_length=2, description="95 % interval.")]


class LabelGain(TypedDict):
    """What ten more pictures of a label would bring."""

    label: str
    pictures: responses.Count
    recall: responses.Share
    gain: Annotated[float, Field(description="Estimated change of the recall.")]


class Learnt(TypedDict):
    """What a classifier tells about the labels. Each picture is judged by one that did not learn from it."""

    doubted: DoubtedPictures
    unknown: Unanswered
    curve: list[CurvePointJson]
    curve_revision: Annotated[int, Field(description="Revision of the dataset that the curve is of.")]
    gains: Annotated[list[LabelGain], Field(description="The label that would gain most is first.")]


class ComputedReport(TypedDict):
    """What a worker has computed. Lists have 100 entries at most; counts are of all."""

    at: responses.Timestamp
    revision: Annotated[responses.Count, Field(description="Of the dataset, at that time.")]
    stale: Annotated[bool, Field(description="Whether the dataset has changed since.")]
    near_copies: NearCopies
    tiny: TinyPictures
    nothing_learnt: Annotated[str | None, Field(description="Why `learnt` is null.")]
    learnt: Learnt | None


class DatasetReport(TypedDict):
    """What is wrong or thin in a dataset."""

    dataset: str
    revision: responses.Count
    thin_labels: Annotated[list[ThinLabel], Field(description="Labels with fewer than 50 pictures.")]
    imbalance: Imbalance | None
    same_but_case: Annotated[list[list[str]], Field(description="Labels that differ only in case.")]
    computing: Annotated[bool, Field(description="Whether a worker has yet to compute the report of this revision.")]
    computed: ComputedReport | None


@dataclass(frozen=True)
class Computed:
    """What a worker has computed, with what is now: its pictures and their Rejections, and names of Labels by index."""

    findings: Findings
    opinions: Opinions
    pictures: Mapping[int, Picture]
    rejections: Mapping[int, Rejection]
    names: Mapping[int, str]

    def label_of(self, picture: Picture) -> str | None:
        """Return the name of a picture's Label."""
        return None if picture.label is None else self.names.get(picture.label)

    def opinion(self, n: int) -> Opinion | None:
        """Return the opinion on a picture, or None if the picture is gone, or has another Label since."""
        picture = self.pictures.get(n)
        return self.opinions.of(picture) if picture else None

    def is_rejected(self, n: int) -> bool:
        """Return whether a person has rejected what the report suggests for a picture."""
        opinion = self.opinion(n)
        return opinion is not None and opinion.is_rejected(self.rejections.get(n))


def mentioned(findings: Findings) -> list[int]:
    """Return the numbers of the pictures in a report."""
    doubted = findings.judgement.doubted if findings.judgement else ()
    near = (neighbour.n for each in doubted for neighbour in each.neighbours)
    return sorted({*chain.from_iterable(findings.groups), *findings.tiny, *(each.n for each in doubted), *near})


def report_json(record: DatasetRecord, computed: Computed | None) -> DatasetReport:
    """Return the JSON of a report."""
    return {
        "dataset": record.name,
        "revision": record.revision,
        "thin_labels": [_thin(label) for label in record.labels if label.pictures < ENOUGH],
        "imbalance": _imbalance(record.labels),
        "same_but_case": _same_but_case(record.labels),
        "computing": computed is None or computed.findings.revision != record.revision,
        "computed": None if computed is None else _computed_json(record, computed),
    }


def _thin(label: LabelCounts) -> ThinLabel:
    problem: Problem = "too_few" if label.pictures < MIN_PICTURES else "few"
    return {"label": label.name, "pictures": label.pictures, "problem": problem}


def _imbalance(labels: Sequence[LabelCounts]) -> Imbalance | None:
    """Return the Labels with the most and the fewest pictures, of those that have any, if they differ too much."""
    ordered = sorted((label for label in labels if label.pictures), key=lambda label: label.pictures)
    if not ordered or ordered[-1].pictures <= IMBALANCE * ordered[0].pictures:
        return None
    ratio = ordered[-1].pictures / ordered[0].pictures
    return {"most": ordered[-1].name, "fewest": ordered[0].name, "ratio": round(ratio, 1)}


def _same_but_case(labels: Sequence[LabelCounts]) -> list[list[str]]:
    by_folded = defaultdict(list)
    for label in labels:
        by_folded[label.name.casefold()].append(label.name)
    return [names for names in by_folded.values() if len(names) > 1]


def _computed_json(record: DatasetRecord, computed: Computed) -> ComputedReport:
    found = computed.findings
    return {
        "at": rfc3339(found.computed_at),
        "revision": found.revision,
        "stale": found.revision != record.revision,
        "near_copies": {
            "groups": found.group_count,
            "groups_with_several_labels": found.mixed_group_count,
            "listed": [_group_json(group, computed) for group in found.groups],
        },
        "tiny": {"pictures": found.tiny_count, "listed": [str(n) for n in found.tiny if n in computed.pictures]},
        "nothing_learnt": found.reason,
        "learnt": None if found.judgement is None else _learnt_json(found.judgement, computed),
    }


def _group_json(group: Sequence[int], computed: Computed) -> list[LabelledPicture]:
    there = [computed.pictures[n] for n in group if n in computed.pictures]
    return [{"id": str(picture.n), "label": computed.label_of(picture)} for picture in there]


def _learnt_json(judgement: Judgement, computed: Computed) -> Learnt:
    labelled, unlabelled = judgement.unknown
    kept = [each.n for each in judgement.doubted if computed.is_rejected(each.n)]
    doubted = (_doubted_json(each, computed) for each in judgement.doubted if each.n not in kept)
    return {
        "doubted": {
            "pictures": judgement.doubted_count - len(kept),
            "listed": [each for each in doubted if each is not None],
        },
        "unknown": {"labelled": labelled, "unlabelled": unlabelled},
        "curve": [
            {
                "share": point.share,
                "pictures": point.pictures,
                "accuracy": point.accuracy,
                "interval": list(point.interval),
            }
            for point in judgement.curve
        ],
        "curve_revision": _revision_of_curve(judgement, computed),
        "gains": [
            {"label": computed.names[each.label], "pictures": each.pictures, "recall": each.recall, "gain": each.gain}
            for each in judgement.gains
            if each.label in computed.names
        ],
    }


def _revision_of_curve(judgement: Judgement, computed: Computed) -> int:
    return computed.findings.revision if judgement.curve_revision is None else judgement.curve_revision


def _doubted_json(doubted: Doubted, computed: Computed) -> DoubtedPicture | None:
    """Return the JSON of a doubted picture, or None if it is deleted or relabelled since."""
    picture, opinion = computed.pictures.get(doubted.n), computed.opinion(doubted.n)
    if opinion is None or picture is None:
        return None
    near = [(each, computed.pictures[each.n]) for each in doubted.neighbours if each.n in computed.pictures]
    return {
        "id": str(picture.n),
        "label": computed.label_of(picture),
        "doubt": opinion.doubt,
        "suggested": suggestion(opinion, computed.names),
        "neighbours": [
            {"id": str(other.n), "label": computed.label_of(other), "similarity": each.similarity}
            for each, other in near
        ],
    }
