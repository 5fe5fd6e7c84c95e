"""The report over HTTP. The Backbone sees no picture: Embeddings are made up, and judged by the real functions."""

from __future__ import annotations

import os
import statistics
from typing import Any

import numpy as np
import pytest

from shared.datasets.embeddings import write_embeddings
from shared.datasets.files import basis_key, neighbours_key, report_key
from shared.datasets.neighbours import COUNT, compared, write_neighbours
from shared.redis import keys
from shared.services import Services
from tests.shared.datasets.kit import DatasetKit, Given
from tests.web.api.kit import Caller
from tests.worker.heads.test_fit import clouds
from worker.datasets.snapshot import present, unlabelled
from worker.heads.fit import fit_head
from worker.heads.neighbours import Pictures
from worker.serving.backbone import find_backbone
from worker.training import report_process
from worker.training.report import findings, judge, store, store_neighbours
from worker.training.report_supervisor import MAX_CLAIMS, ReportSupervisor

LABELS = ("apple", "Apple", "pear")
#: Pictures of each Label, and without one.
EACH, WAITING = 20, 6
#: Pictures of a Dataset in which one changed Label is a small change.
MANY = 120
#: The first picture of `apple` has the Label `pear`, and the next one is a near copy of it.
WRONG, COPY = 1, 4


@pytest.fixture
def things(ann: Caller, kit: DatasetKit) -> str:
    """Create ann's Dataset with sixty labelled pictures, one of them wrongly, and six others; return its id."""
    ann("POST", json={"name": "things", "labels": LABELS}, status=201)
    dataset = kit.store.find("ann", "things")
    given = [Given(f"{n}", LABELS[n % 3]) for n in range(3 * EACH)]
    given[0] = Given("0", "pear")
    given[3] = Given("3", "apple", near=("0",))
    kit.add(dataset, *given, *(Given(f"waiting-{n}") for n in range(WAITING)))
    return dataset


def compute(parts: Services, dataset: str) -> None:
    """Store a report, as a worker does after a training."""
    embeddings, _ = clouds(EACH + WAITING // 3, classes=3)
    frozen, snapshot = present(parts.dataset_pictures, dataset), parts.dataset_pictures.snapshot(dataset)
    others, train = unlabelled(snapshot), ~frozen.test
    vectors = embeddings[frozen.numbers - 1]
    fitted = fit_head(vectors[train], frozen.truth[train], 3, groups=frozen.groups[train])
    waiting = embeddings[others.numbers - 1]
    rejections = parts.dataset_pictures.rejections(dataset)
    judgement, opinions = judge(fitted, frozen, vectors, others, waiting, rejections=rejections)
    pictures = (Pictures(frozen.numbers, frozen.groups, vectors), Pictures(others.numbers, others.groups, waiting))
    store_neighbours(parts.blobs, dataset, "everyday", *pictures)
    store(parts, dataset, findings(snapshot, frozen.revision, judgement), opinions)


def report(caller: Caller) -> Any:
    return caller("GET", "/things/report").json


def listed(caller: Caller, **query: Any) -> list[Any]:
    """Return all pictures of a list, page by page."""
    path, found = "/things/pictures?" + "&".join(f"{key}={value}" for key, value in query.items()), []
    while path:
        answer = caller("GET", path).json
        found += answer["data"]
        path = answer["next"] and f"{path.partition('&after')[0]}&after={answer['next']}"
    return found


@pytest.mark.usefixtures("things")
def test_what_counts_tell_needs_no_worker(ann: Caller) -> None:
    assert report(ann) == {
        "dataset": "things",
        "revision": ann("GET", "/things").json["revision"],
        "thin_labels": [
            {"label": "apple", "pictures": EACH - 1, "problem": "few"},
            {"label": "Apple", "pictures": EACH, "problem": "few"},
            {"label": "pear", "pictures": EACH + 1, "problem": "few"},
        ],
        "imbalance": None,
        "same_but_case": [["apple", "Apple"]],
        "computing": True,
        "computed": None,
    }
    ann("DELETE", "/things/labels/Apple?pictures=delete", 204)
    ann("POST", "/things/pictures/delete", json={"pictures": [str(n) for n in range(7, 3 * EACH, 3)]})
    found = report(ann)
    assert found["thin_labels"][0] == {"label": "apple", "pictures": 1, "problem": "too_few"}
    assert found["imbalance"] == {"most": "pear", "fewest": "apple", "ratio": EACH + 1}


def test_a_computed_report_names_what_is_wrong(ann: Caller, bob: Caller, parts: Services, things: str) -> None:
    compute(parts, things)
    found = report(ann)["computed"]
    assert (found["revision"], found["stale"]) == (report(ann)["revision"], False)
    assert not report(ann)["computing"]
    assert found["near_copies"]["groups_with_several_labels"] == 1
    assert found["near_copies"]["listed"][0] == [{"id": "1", "label": "pear"}, {"id": "4", "label": "apple"}]
    assert found["tiny"]["pictures"] == 3 * EACH + WAITING
    doubted = found["learnt"]["doubted"]["listed"][0]
    assert (doubted["id"], doubted["label"], doubted["suggested"]["label"]) == (str(WRONG), "pear", "apple")
    assert statistics.mode(near["label"] for near in doubted["neighbours"]) == "apple"
    curve = found["learnt"]["curve"]
    assert [point["share"] for point in curve] == [0.25, 0.5, 0.75, 1]
    assert all(point["interval"][0] <= point["accuracy"] <= point["interval"][1] for point in curve)
    assert {gain["label"] for gain in found["learnt"]["gains"]} == set(LABELS)
    bob("GET", "/things/report", 404)

    ann("PUT", f"/things/pictures/{WRONG}", json={"label": "apple"})
    ann("DELETE", f"/things/pictures/{COPY}", 204)
    after = report(ann)["computed"]
    assert after["stale"]
    assert str(WRONG) not in [each["id"] for each in after["learnt"]["doubted"]["listed"]]
    assert after["near_copies"]["listed"][0] == [{"id": "1", "label": "apple"}]

    ann("DELETE", "/things", status=204)
    assert not any(parts.blobs.exists(key(things)) for key in (report_key, neighbours_key))


def test_a_label_that_is_kept_is_not_doubted_again(ann: Caller, parts: Services, things: str) -> None:
    """Given a doubted Label, When a person rejects the suggested one, Then no report lists it for that."""

    def doubted() -> tuple[int, list[str]]:
        found = report(ann)["computed"]["learnt"]["doubted"]
        return found["pictures"], [each["id"] for each in found["listed"]]

    def change(**what: str | None) -> Any:
        return ann("PUT", f"/things/pictures/{WRONG}", json=what).json

    compute(parts, things)
    before, revision = doubted(), report(ann)["revision"]
    assert before[1][0] == str(WRONG)
    assert change(rejected="Apple")["rejected"] == "Apple", "which is not what the report suggests"
    assert doubted() == before
    kept = change(rejected="apple")
    assert (kept["rejected"], kept["doubt"], kept["suggested"], kept["label"]) == ("apple", None, None, "pear")
    assert doubted() == (before[0] - 1, before[1][1:])
    assert str(WRONG) not in [each["id"] for each in listed(ann, sort="doubt")]
    assert (report(ann)["revision"], report(ann)["computed"]["stale"]) == (revision, False)
    compute(parts, things)
    assert doubted() == (before[0] - 1, before[1][1:]), "of the next report, too"
    assert change(rejected=None)["rejected"] is None
    compute(parts, things)
    assert doubted() == before
    change(rejected="apple")
    assert change(label="Apple")["rejected"] is None, "the decision was about another label"


def test_a_picture_has_the_neighbours_that_the_report_found(
    ann: Caller, bob: Caller, parts: Services, things: str
) -> None:
    def near(n: int, caller: Caller = ann, status: int = 200) -> list[str]:
        answer = caller("GET", f"/things/pictures/{n}/neighbours", status).json
        return [each["id"] for each in answer["data"]] if status == 200 else []

    assert near(WRONG) == []
    compute(parts, things)
    found = near(WRONG)
    assert len(found) == COUNT
    assert not {str(WRONG), str(COPY)} & {*found}, "near copies are no neighbours"
    assert statistics.mode(ann("GET", f"/things/pictures/{n}").json["label"] for n in found) == "apple"
    assert len(near(3 * EACH + 1)) == COUNT, "a picture without a label has neighbours, too"
    ann("DELETE", f"/things/pictures/{found[1]}", 204)
    assert near(WRONG) == [found[0], *found[2:]]
    dataset = parts.datasets.find("ann", "things")
    DatasetKit(parts.redis, parts.blobs).add(dataset, Given("new", "pear"))
    assert near(3 * EACH + WAITING + 1) == []
    near(int(found[1]), status=404)
    near(WRONG, bob, 404)


def test_a_report_after_few_changes_tells_of_which_revision_its_curve_is(
    ann: Caller, kit: DatasetKit, parts: Services
) -> None:
    """Given a report, When one label changes, Then the next one has new doubts and the curve of the first."""
    ann("POST", json={"name": "things", "labels": LABELS}, status=201)
    dataset, backbone = kit.store.find("ann", "things"), find_backbone(parts.registry)
    vectors = clouds(MANY // 3, classes=3)[0]
    for start in range(0, MANY, EACH):
        kit.add(dataset, *(Given(f"{n}", LABELS[n % 3]) for n in range(start, start + EACH)))
    for block in parts.dataset_pictures.blocks(dataset):
        rows = np.zeros((block.rows, backbone.embedding or 0), np.float16)
        rows[:, : vectors.shape[1]] = vectors[block.first - 1 : block.first - 1 + block.rows]
        write_embeddings(parts.blobs, dataset, block.id, backbone.version, rows)

    def computed() -> Any:
        assert report_process.compute(parts, dataset) == os.EX_OK
        return report(ann)["computed"]

    def near() -> Any:
        return ann("GET", "/things/pictures/2/neighbours").json["data"]

    first = computed()
    assert first["learnt"]["curve_revision"] == first["revision"]
    assert len(near()) == COUNT
    write_neighbours(parts.blobs, dataset, compared(parts.blobs, dataset) or b"", b"")
    ann("PUT", "/things/pictures/2", json={"label": "pear"})
    second = computed()
    assert (second["stale"], second["learnt"]["curve_revision"]) == (False, first["revision"])
    assert second["revision"] > first["revision"]
    assert second["learnt"]["curve"] == first["learnt"]["curve"]
    assert "2" in [each["id"] for each in second["learnt"]["doubted"]["listed"]]
    assert near() == [], "neighbours are not computed anew for the same pictures"
    ann("POST", "/things/pictures/labels", json={"labels": {str(n): None for n in range(4, 20, 3)}})
    third = computed()
    assert third["learnt"]["curve_revision"] == third["revision"]
    assert len(near()) == COUNT
    ann("DELETE", "/things", status=204)
    assert not parts.blobs.exists(basis_key(dataset))


def test_a_worker_computes_a_report_that_is_asked_for(
    ann: Caller, kit: DatasetKit, parts: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_REDIS_URL", parts.settings.redis_url or "")
    monkeypatch.setenv("DARKROOM_DATA_DIR", str(parts.settings.data_dir))
    ann("POST", json={"name": "things"}, status=201)
    dataset = kit.store.find("ann", "things")
    kit.add(dataset, Given("a", "apple"), Given("b", "apple", near=("a",)))
    supervisor = ReportSupervisor(parts)
    assert not supervisor.work()
    for _ in range(2):
        assert (report(ann)["computing"], report(ann)["computed"]) == (True, None)
    assert parts.reports.count() == 1
    assert supervisor.work()
    assert not supervisor.work()
    assert parts.reports.count() == 0
    found = report(ann)
    assert (found["computing"], found["computed"]["learnt"]) == (False, None)
    assert "pictures of 2 labels" in found["computed"]["nothing_learnt"]
    assert found["computed"]["near_copies"]["listed"] == [[{"id": n, "label": "apple"} for n in ("1", "2")]]

    ann("POST", "/things/labels", json={"name": "pear"}, status=201)
    found = report(ann)
    assert (found["computing"], found["computed"]["stale"]) == (True, True)
    for _ in range(MAX_CLAIMS):
        assert parts.reports.claim() is not None  # by a worker that dies
        assert not parts.reports.is_due()
        parts.redis.zadd(keys.REPORTS, {dataset: 0})  # its lease expires
    assert supervisor.work()
    found = report(ann)
    assert (found["computing"], found["computed"]["nothing_learnt"]) == (False, "the computation crashed 3 times.")
    assert not supervisor.work()


def test_pictures_are_listed_by_doubt_and_suggestion(ann: Caller, parts: Services, things: str) -> None:
    waiting = [str(n) for n in range(3 * EACH + 1, 3 * EACH + WAITING + 1)]
    assert all(each["doubt"] is each["suggested"] is None for each in listed(ann))
    assert listed(ann, sort="doubt") == listed(ann, doubt="0.1") == []
    assert [each["id"] for each in listed(ann, sort="suggested")] == waiting
    compute(parts, things)

    doubts = [each["doubt"] for each in listed(ann, sort="doubt", limit=7)]
    assert doubts == sorted(doubts, reverse=True)
    assert len(doubts) == 3 * EACH
    worst = ann("GET", f"/things/pictures/{WRONG}").json
    assert worst["doubt"] == doubts[0] > 0.5
    assert worst["suggested"]["label"] == "apple"
    for order, reverse in (("oldest", False), ("newest", True)):
        above = [each["id"] for each in listed(ann, doubt=doubts[4], sort=order, limit=2)]
        assert above == sorted(above, key=int, reverse=reverse)
        assert len(above) == 5
    assert {each["label"] for each in listed(ann, sort="doubt", label="pear")} == {"pear"}

    suggested = listed(ann, sort="suggested", limit=4)
    assert sorted(each["id"] for each in suggested) == waiting
    assert all(each["doubt"] is None and each["suggested"]["label"] in LABELS for each in suggested)
    scores = [each["suggested"]["score"] for each in suggested]
    assert scores == sorted(scores)
    ann("PUT", f"/things/pictures/{suggested[0]['id']}", json={"label": "pear"})
    assert len(listed(ann, sort="suggested")) == WAITING - 1
    assert ann("GET", f"/things/pictures/{suggested[0]['id']}").json["suggested"] is None


def test_suggestions_are_mixed_while_few_pictures_are_labelled(ann: Caller, parts: Services, things: str) -> None:
    ann("POST", "/things/pictures/labels", json={"labels": {str(n): None for n in range(31, 61)}})
    compute(parts, things)
    found = listed(ann, sort="suggested")
    order = [int(each["id"]) for each in found]
    scores = [each["suggested"]["score"] for each in found]
    assert sorted(order) == list(range(31, 61 + WAITING))
    assert order != sorted(order) and scores != sorted(scores)
    assert [int(each["id"]) for each in listed(ann, sort="suggested", limit=3)] == order
