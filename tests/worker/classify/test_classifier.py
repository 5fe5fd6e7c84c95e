"""The classifier returns ranked predictions for good uploads and a failure code for each of the others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shared.domain.card import Unknown
from shared.domain.entities import Chunk, ItemState, Outcome, Upload, blob_key
from shared.services import Services
from tests.fixtures import make
from tests.worker.kit import pictures, put
from web.uploads.pack import Pack
from worker.classify.classifier import TOP_K, Classifier, outcome_of, top_predictions
from worker.serving.models import Answers, LoadedModel, ModelCache

JOB = "a" * 32


@pytest.fixture
def model(services: Services, threads: int) -> LoadedModel:
    return ModelCache(services.registry, threads).get(services.registry.champion().version)


@pytest.fixture
def classifier(services: Services) -> Iterator[Classifier]:
    with ThreadPoolExecutor(2) as pool:
        yield Classifier(services.blobs, services.settings.max_pixels, pool)


def chunk_of(services: Services, contents: dict[str, bytes]) -> Chunk:
    return Chunk("c" * 32, JOB, services.registry.champion().version, tuple(put(services, JOB, contents)))


def reason(outcome: Outcome) -> str:
    assert (outcome.state, outcome.predictions) == (ItemState.FAILED, ())
    assert outcome.failure is not None
    assert outcome.failure.detail
    return outcome.failure.code


def test_each_image_gets_ranked_predictions(services: Services, classifier: Classifier, model: LoadedModel) -> None:
    contents = pictures()
    outcomes = classifier.classify(chunk_of(services, contents), model)
    assert outcomes.keys() == contents.keys()
    for outcome in outcomes.values():
        assert (outcome.state, outcome.failure, len(outcome.predictions)) == (ItemState.SUCCEEDED, None, TOP_K)
        scores = [prediction.score for prediction in outcome.predictions]
        assert scores == sorted(scores, reverse=True)
        assert 0 <= scores[-1] <= scores[0] <= 1
        assert 0.5 < sum(scores) <= 1 + 1e-5
        assert len({prediction.index for prediction in outcome.predictions}) == TOP_K


def test_most_predictions_are_correct(services: Services, classifier: Classifier, model: LoadedModel) -> None:
    """Swapped labels, channels or rows would reduce this to chance, 10 %."""
    outcomes = classifier.classify(chunk_of(services, pictures()), model)
    right = [key.startswith(model.card.labels[each.predictions[0].index]) for key, each in outcomes.items()]
    assert len(right) == 40
    assert sum(right) > len(right) * 0.5


def test_a_version_that_crops_sees_the_middle(services: Services, classifier: Classifier, model: LoadedModel) -> None:
    middle = make.pixels(64, 64, seed=3)
    sides = {"dark": np.zeros((64, 64, 3), np.uint8), "bright": np.full((64, 64, 3), 255, np.uint8)}
    contents = {key: make.encode(np.hstack([side, middle, side]), "PNG") for key, side in sides.items()}
    how = model.card.preprocessing.model_copy(update={"resize": "crop"})
    crops = replace(model, card=model.card.model_copy(update={"preprocessing": how}))
    answers = [classifier.classify(chunk_of(services, contents), each) for each in (model, crops)]
    squashed, cropped = ({key: each.predictions[0].score for key, each in outcomes.items()} for outcomes in answers)
    assert cropped["dark"] == pytest.approx(cropped["bright"], abs=0.03)  # a filter reads a pixel beside the middle
    assert squashed["dark"] != pytest.approx(squashed["bright"], abs=0.06)


def test_predictions_do_not_depend_on_the_chunk(services: Services, classifier: Classifier, model: LoadedModel) -> None:
    contents = pictures(8)
    together = classifier.classify(chunk_of(services, contents), model)
    for key, content in contents.items():
        alone = classifier.classify(chunk_of(services, {key: content}), model)[key]
        assert [each.index for each in alone.predictions] == [each.index for each in together[key].predictions]
        scores = zip(alone.predictions, together[key].predictions, strict=True)
        assert all(one.score == pytest.approx(other.score, abs=1e-5) for one, other in scores)


def test_a_bad_upload_fails_only_its_item_with_a_code(
    services: Services, classifier: Classifier, model: LoadedModel
) -> None:
    good = pictures(4)
    large = make.encode(make.pixels(600, 400, 1), "JPEG")
    chunk = chunk_of(services, good | {"cut": large[: len(large) // 2], "text": b"hello", "empty": b""})
    lost = Upload("lost", "lost.png", 9, hashlib.sha256(b"never stored").hexdigest(), "image/png", 32, 32)
    swapped = Upload("swapped", "swapped.png", 9, hashlib.sha256(b"something else").hexdigest(), "image/png", 32, 32)
    services.blobs.put(blob_key(JOB, swapped.sha256), next(iter(good.values())))
    whole = Chunk(chunk.id, JOB, chunk.model, (lost, *chunk.uploads, swapped))
    outcomes = classifier.classify(whole, model)
    assert {key: reason(outcomes[key]) for key in outcomes.keys() - good} == {
        "cut": "truncated",
        "text": "unsupported_format",
        "empty": "empty_file",
        "lost": "missing",
        "swapped": "changed",
    }
    alone = classifier.classify(chunk_of(services, good), model)
    assert {key: outcomes[key] for key in good} == alone


def test_pictures_in_a_pack_get_the_same_answers(
    services: Services, classifier: Classifier, model: LoadedModel
) -> None:
    contents = pictures(8)
    chunk = chunk_of(services, contents)
    pack = Pack({upload.sha256: contents[upload.key] for upload in chunk.uploads[1:]})
    services.blobs.put(blob_key(JOB, pack.stored_as), pack.content)
    packed = tuple(replace(upload, pack=pack.places.get(upload.sha256)) for upload in chunk.uploads)
    services.blobs.delete([blob_key(JOB, upload.sha256) for upload in chunk.uploads[1:]])
    found = classifier.classify(replace(chunk, uploads=packed), model)
    assert found == classifier.classify(chunk_of(services, contents), model)


def test_a_chunk_without_a_good_upload_needs_no_forward_pass(
    services: Services, classifier: Classifier, model: LoadedModel
) -> None:
    def never(_: object) -> Answers:
        raise AssertionError("there is nothing to classify")

    outcomes = classifier.classify(
        chunk_of(services, {"a": b"x", "b": b"y"}), LoadedModel(model.card, never, model.locate)
    )
    assert {reason(outcome) for outcome in outcomes.values()} == {"unsupported_format"}


def test_identical_images_get_identical_predictions(
    services: Services, classifier: Classifier, model: LoadedModel
) -> None:
    content = pictures(1).popitem()[1]
    outcomes = classifier.classify(chunk_of(services, {"a": content, "b": content}), model)
    assert outcomes["a"] == outcomes["b"]


def test_scores_that_are_not_probabilities_fail_only_their_item(
    services: Services, classifier: Classifier, model: LoadedModel
) -> None:
    """A network whose training diverged returns NaN and infinity."""

    def diverged(images: np.ndarray) -> Answers:
        scores = model.forward(images)
        scores[0, 2] = np.nan
        scores[1, 2] = 7
        return Answers(scores)

    outcomes = classifier.classify(chunk_of(services, pictures(3)), LoadedModel(model.card, diverged, model.locate))
    first, second, third = outcomes.values()
    assert (reason(first), reason(second)) == ("no_answer", "no_answer")
    assert third.state is ItemState.SUCCEEDED


@given(arrays.arrays(np.float32, st.integers(1, 12), elements=st.floats(0, 1, width=32)), st.integers(1, 6))
def test_predictions_are_ranked_by_score_then_index(scores: np.ndarray, top_k: int) -> None:
    outcome = top_predictions(scores, top_k)
    expected = sorted(range(len(scores)), key=lambda index: (-scores[index], index))[:top_k]
    assert [each.index for each in outcome.predictions] == expected
    assert [each.score for each in outcome.predictions] == [float(scores[index]) for index in expected]


@pytest.mark.parametrize(
    ("rule", "novelty", "unknown"),
    [
        (None, 0.9, False),
        (Unknown(score=0.6, accepted=0.95), None, False),
        (Unknown(score=0.7, accepted=0.95), None, True),
        (Unknown(score=0.6, distance=0.5, accepted=0.95), 0.5, False),
        (Unknown(score=0.6, distance=0.5, accepted=0.95), 0.6, True),
        (Unknown(score=0.7, distance=0.5, accepted=0.95), 0.1, True),
    ],
)
def test_a_picture_is_unknown_by_the_rule_of_the_card(
    rule: Unknown | None, novelty: float | None, unknown: bool
) -> None:
    """The predictions are kept."""
    outcome = outcome_of(np.array([0.3, 0.65, 0.05], np.float32), novelty, rule)
    assert (outcome.unknown, outcome.novelty, len(outcome.predictions)) == (unknown, novelty, 3)
