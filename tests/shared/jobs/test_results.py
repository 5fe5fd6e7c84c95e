"""Pages of results by finishing order and by score, with filters and cursors, while the job runs."""

import random
from dataclasses import replace

import pytest

from shared.domain.entities import ItemState, JobState
from shared.domain.errors import InvalidRequest
from shared.jobs.chunks import CHUNK_ITEMS
from shared.jobs.results import NO_FILTER, READ_BATCH, SCAN_LIMIT, Filter, Page
from tests.shared.kit import MANY, REFUSED, RINGS, UNREADABLE, Kit, names, sure, upload, uploads


def keys_of(page: Page) -> list[str]:
    return [item.upload.key for item in page.items]


def followed(read, job: str, limit: int, wanted: Filter = NO_FILTER) -> list[str]:
    """Return the item keys of all pages."""
    found, page = [], Page([], None, done=False, more=True)
    while not page.done:
        page = read(job, limit, page.next, wanted)
        assert len(page.items) <= limit
        found += keys_of(page)
    assert page.next is None
    return found


@pytest.mark.parametrize("limit", [1, 3, READ_BATCH - 1, READ_BATCH, READ_BATCH + 1, 5000])
def test_pages_return_each_item_once_in_finishing_order(kit: Kit, limit: int) -> None:
    count = 9 if limit < 10 else 2 * READ_BATCH + 1
    job = kit.sealed_job(uploads(count))
    chunks = [kit.claim() for _ in range(-(-count // CHUNK_ITEMS))]
    random.Random(5).shuffle(chunks)
    for chunk in chunks:
        kit.finish(chunk)
    assert followed(kit.results.finished, job, limit) == [key for chunk in chunks for key in names(chunk)]


def test_a_cursor_stays_valid_while_the_job_runs(kit: Kit) -> None:
    job = kit.open_job()
    seen, cursor = [], None
    for step in range(20):
        kit.store.add(job, uploads(1 + step % 3, f"step{step}-"), MANY)
        if step % 4:
            kit.finish(kit.claim())
        page = kit.results.finished(job, 2, cursor)
        assert (page.done, page.next is None) == (False, False)
        seen, cursor = seen + keys_of(page), page.next
    kit.store.seal(job)
    kit.work_off()
    while cursor:
        page = kit.results.finished(job, 2, cursor)
        seen, cursor = seen + keys_of(page), page.next
    assert page.done
    assert sorted(seen) == sorted(kit.states(job))
    assert seen == [item.upload.key for item in kit.results.stream(job)]


def test_a_running_job_has_no_last_page(kit: Kit) -> None:
    job = kit.sealed_job(uploads(1))
    page = kit.results.finished(job, 10)
    assert (page.items, page.done) == ([], False)
    assert kit.results.finished(job, 10, page.next) == page
    kit.work_off()
    last = kit.results.finished(job, 10, page.next)
    assert (keys_of(last), last.next, last.done) == (["k0"], None, True)


def test_a_retried_item_appears_once_at_its_last_finish(kit: Kit) -> None:
    job = kit.sealed_job(uploads(4))
    chunk = kit.claim()
    outcomes = {"k0": UNREADABLE, "k1": sure(), "k2": UNREADABLE, "k3": sure()}
    assert kit.chunks.commit(chunk, outcomes)
    assert followed(kit.results.finished, job, 1) == ["k0", "k1", "k2", "k3"]
    half_way = kit.results.finished(job, 2).next
    kit.store.retry(job)
    assert keys_of(kit.results.finished(job, 9)) == keys_of(kit.results.least_confident(job, 9)) == ["k1", "k3"]
    again = kit.claim()
    kit.finish(again)
    assert followed(kit.results.finished, job, 1) == ["k1", "k3", *names(again)]
    assert keys_of(kit.results.finished(job, 9, half_way)) == ["k3", *names(again)]
    assert [item.upload.key for item in kit.results.stream(job)] == ["k1", "k3", *names(again)]


def test_filters_by_state_label_and_score(kit: Kit) -> None:
    job = kit.open_job([*uploads(6), upload("refused", failure=REFUSED)])
    scores = {"k0": (0.9, 1), "k1": (0.4, 1), "k2": (0.6, 2), "k3": (0.6, 1)}
    outcomes = {key: sure(*score) for key, score in scores.items()} | {"k4": UNREADABLE, "k5": UNREADABLE}
    assert kit.chunks.commit(kit.claim(), outcomes)
    kit.store.add(job, [upload("late")], MANY)
    kit.store.cancel(job)
    wanted = {
        Filter(): ["refused", "k0", "k1", "k2", "k3", "k4", "k5", "late"],
        Filter(state=ItemState.SUCCEEDED): ["k0", "k1", "k2", "k3"],
        Filter(state=ItemState.FAILED): ["refused", "k4", "k5"],
        Filter(state=ItemState.CANCELLED): ["late"],
        Filter(label=1): ["k0", "k1", "k3"],
        Filter(max_score=0.6): ["k1", "k2", "k3"],
        Filter(label=1, max_score=0.6): ["k1", "k3"],
        Filter(state=ItemState.FAILED, label=1): [],
        Filter(label=9): [],
    }
    check_filters(kit, job, wanted)


def test_filters_by_correction_score_and_name(kit: Kit) -> None:
    names = {"k0": "Holiday/IMG_1.jpg", "k1": "holiday/img_2.jpg", "k2": "STRASSE.png", "k3": "a.png"}
    job = kit.sealed_job([replace(upload(key), filename=name) for key, name in names.items()])
    scores = {"k0": (0.9, 1), "k1": (0.4, 1), "k2": (0.6, 2)}
    assert kit.chunks.commit(kit.claim(), {key: sure(*score) for key, score in scores.items()} | {"k3": UNREADABLE})
    kit.corrections.put(job, {"k1": 2, "k2": 2})
    wanted = {
        Filter(label=1): ["k0"],
        Filter(label=2): ["k1", "k2"],
        Filter(corrected=True): ["k1", "k2"],
        Filter(corrected=False): ["k0", "k3"],
        Filter(min_score=0.6): ["k0", "k2"],
        Filter(min_score=0.5, max_score=0.8): ["k2"],
        Filter(min_score=0.0): ["k0", "k1", "k2"],
        Filter(filename="hOLIDAY/"): ["k0", "k1"],
        Filter(filename="straße"): ["k2"],
        Filter(filename="holiday", corrected=True, label=2): ["k1"],
        Filter(filename="*"): [],
    }
    check_filters(kit, job, wanted)


def check_filters(kit: Kit, job: str, wanted: dict[Filter, list[str]]) -> None:
    for each, expected in wanted.items():
        assert followed(kit.results.finished, job, 2, each) == expected, each
        assert sorted(followed(kit.results.least_confident, job, 2, each)) == sorted(expected), each


def test_a_selective_filter_reaches_the_end_of_a_big_job(kit: Kit) -> None:
    job = kit.sealed_job(uploads(SCAN_LIMIT + 2))
    last = f"k{SCAN_LIMIT + 1}"
    while chunk := kit.chunks.claim("worker", RINGS):
        assert kit.chunks.commit(chunk, {key: sure(0.2 if key == last else 0.9) for key in names(chunk)})
    first = kit.results.finished(job, 10, None, Filter(max_score=0.5))
    assert (first.items, first.done) == ([], False)
    assert keys_of(kit.results.finished(job, 10, first.next, Filter(max_score=0.5))) == [last]
    assert keys_of(kit.results.least_confident(job, 1)) == [last]


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_the_least_confident_come_first_and_failures_last(kit: Kit, limit: int) -> None:
    scores = [0.31, 0.999999, 0.30, 1.0, 0.5, 0.5, 0.000001]
    items = uploads(len(scores))
    job = kit.sealed_job([*items, upload("broken"), upload("refused", failure=REFUSED)])
    outcomes = {f"k{number}": sure(score) for number, score in enumerate(scores)} | {"broken": UNREADABLE}
    assert kit.chunks.commit(kit.claim(), outcomes)
    found = followed(kit.results.least_confident, job, limit)
    ranked = sorted(range(len(scores)), key=lambda number: (scores[number], f"k{number}"))
    assert found == [*(f"k{number}" for number in ranked), "broken", "refused"]


def test_a_score_cursor_misses_nothing_after_it_while_the_job_runs(kit: Kit) -> None:
    job = kit.open_job(uploads(3))
    assert kit.chunks.commit(kit.claim(), {"k0": sure(0.1), "k1": sure(0.5), "k2": UNREADABLE})
    first = kit.results.least_confident(job, 1)
    assert keys_of(first) == ["k0"]
    kit.store.add(job, [upload("front"), upload("behind")], MANY)
    assert kit.chunks.commit(kit.claim(), {"front": sure(0.05), "behind": sure(0.7)})
    second = kit.results.least_confident(job, 9, first.next)
    assert keys_of(second) == ["k1", "behind", "k2"]
    kit.store.retry(job)  # the cursor's item is removed from the results
    kit.work_off(sure(0.99))
    kit.store.seal(job)
    assert kit.store.get(job).state is JobState.SUCCEEDED
    assert keys_of(kit.results.least_confident(job, 9, first.next)) == ["k1", "behind", "k2"]


def test_a_score_cursor_keeps_its_position_if_its_item_is_retried(kit: Kit) -> None:
    """Given a cursor among failed items, When they are retried, Then the rest follows, without duplicates."""
    items = uploads(6)
    job = kit.sealed_job([*items, upload("refused", failure=REFUSED)])
    assert kit.chunks.commit(kit.claim(), {"k0": sure(0.1)} | {f"k{number}": UNREADABLE for number in range(1, 6)})
    first = kit.results.least_confident(job, 3)
    assert keys_of(first) == ["k0", "k1", "k2"]
    kit.store.retry(job)
    assert keys_of(kit.results.least_confident(job, 9, first.next)) == ["refused"]
    kit.work_off(sure(0.05))
    assert keys_of(kit.results.least_confident(job, 9, first.next)) == ["refused"]


def test_a_page_tells_whether_more_items_exist(kit: Kit) -> None:
    job = kit.open_job(uploads(3))
    kit.finish(kit.claim())
    for read in (kit.results.finished, kit.results.least_confident):
        first = read(job, 2)
        assert first.more and not first.done
        second = read(job, 2, first.next)
        assert (len(second.items), second.more, second.done) == (1, False, False)
        assert not read(job, 2, second.next).more


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_items_are_listed_in_the_order_of_addition(kit: Kit, limit: int) -> None:
    job = kit.open_job(uploads(7))
    kit.finish(kit.claim())
    found, cursor, names_found, names_cursor = [], None, [], None
    while True:
        page = kit.results.items(job, limit, cursor)
        found, cursor = found + keys_of(page), page.next
        names_page, names_cursor = kit.results.item_keys(job, limit, names_cursor)
        names_found += names_page
        assert cursor == names_cursor
        assert page.done == (cursor is None)
        if cursor is None:
            break
    assert found == names_found == [f"k{number}" for number in range(7)]


def test_a_cursor_of_another_list_is_refused(kit: Kit) -> None:
    job = kit.sealed_job(uploads(3))
    kit.work_off()
    cursors = {
        "finished": kit.results.finished(job, 1).next,
        "least_confident": kit.results.least_confident(job, 1).next,
        "items": kit.results.items(job, 1).next,
    }
    for read in cursors:
        for other, cursor in cursors.items():
            if other == read:
                assert getattr(kit.results, read)(job, 1, cursor).items
            else:
                with pytest.raises(InvalidRequest):
                    getattr(kit.results, read)(job, 1, cursor)
