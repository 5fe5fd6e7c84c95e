"""Lists of pictures in an order that a report decides: by doubt, or those whose Label a person should give next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.datasets.entities import Picture, PicturePage
from shared.datasets.pictures import READ_BATCH, SCAN_LIMIT, DatasetPictures, PictureFilter
from shared.datasets.report import Opinion, Opinions
from shared.jobs.cursors import decode_cursor, encode_cursor

#: Labelled pictures from which the least sure suggestions come first. With fewer, chance is the better teacher.
SURE_FROM = 40
#: An odd number by which numbers are multiplied, modulo 2³², to mix them (Knuth's multiplicative hash).
MIXING = 2_654_435_761


class Order(StrEnum):
    """Orders of pictures."""

    OLDEST = "oldest"
    NEWEST = "newest"
    DOUBT = "doubt"
    SUGGESTED = "suggested"


@dataclass(frozen=True)
class Ranking:
    """Opinions in an order."""

    order: Order
    opinions: Sequence[Opinion]


def ranked(opinions: Opinions, order: Order, doubt: float | None) -> Ranking:
    """Return the opinions on pictures with at least this doubt, in an order; SUGGESTED: on those without a Label.

    SUGGESTED is mixed, the same way each time, below SURE_FROM labelled pictures, and the least sure first above.
    """
    everything = list(opinions)
    labelled = [each for each in everything if each.label >= 0 and (doubt is None or each.doubt >= doubt)]
    if order is not Order.SUGGESTED:
        keys: dict[Order, Callable[[Opinion], float]] = {
            Order.OLDEST: lambda each: each.n,
            Order.NEWEST: lambda each: -each.n,
        }
        return Ranking(order, sorted(labelled, key=keys.get(order, lambda each: -each.doubt)))
    waiting = [each for each in everything if each.label < 0 and doubt is None]
    if sum(each.label >= 0 for each in everything) < SURE_FROM:
        return Ranking(order, sorted(waiting, key=lambda each: each.n * MIXING % (1 << 32)))
    return Ranking(order, sorted(waiting, key=lambda each: each.score))


def ranked_page(
    pictures: DatasetPictures, dataset: str, ranking: Ranking, wanted: PictureFilter, *, limit: int, after: str | None
) -> PicturePage:
    """Return at most `limit` pictures that match, in the order of a ranking; fewer if SCAN_LIMIT are examined.

    Pictures that were deleted or relabelled since, or whose suggestion was rejected, are left out. Raise NotFound,
    InvalidRequest for a wrong cursor.
    """
    opinions, name = ranking.opinions, f"by-{ranking.order}"
    place = 0 if after is None else decode_cursor(name, after, int)
    end = min(place + SCAN_LIMIT, len(opinions))
    found: list[Picture] = []
    while place < end and len(found) < limit:
        batch = opinions[place : min(place + READ_BATCH, end)]
        numbers = [opinion.n for opinion in batch]
        there, rejections = pictures.many(dataset, numbers), pictures.rejections(dataset, numbers)
        for opinion in batch:
            if len(found) == limit:
                break
            picture = there.get(opinion.n)
            holds = picture and opinion.holds(picture) and not opinion.is_rejected(rejections.get(opinion.n))
            if picture and holds and wanted.matches(picture):
                found.append(picture)
            place += 1
    following = encode_cursor(name, place) if place < len(opinions) else None
    return PicturePage(found, pictures.label_names(dataset, found), following)
