"""Compare two versions on the present test pictures of a Dataset, which neither of them may have learnt from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import SNAPSHOT_FILE
from shared.domain.errors import Conflict, NotFound
from shared.models.comparison import Comparison, compare
from shared.services import Services
from worker import hardware
from worker.datasets.pixels import StoredPictures
from worker.datasets.snapshot import DatasetGone, FrozenDataset, present, unpack
from worker.serving.models import ModelCache, ModelUnusable

#: Pictures in a forward pass.
BATCH = 64


class DatasetJudge:
    """Compares versions of the Classifier of a Dataset. Both answer for the same pixels, as they do in service."""

    def __init__(self, services: Services, dataset: str) -> None:
        self._services, self._dataset = services, dataset
        self._models = ModelCache(services.registry, hardware.cores())

    def __call__(self, first: str, second: str) -> Comparison:
        """Compare the second version with the first.

        Raise Conflict if there are no test pictures, if a version has learnt from one of them or cannot be loaded, or
        if the Dataset is deleted; NotFound, Unavailable.
        """
        try:
            frozen = present(self._services.dataset_pictures, self._dataset)
        except DatasetGone as error:
            raise Conflict(str(error)) from error
        tests = frozen.without(~frozen.test)
        if not len(tests.numbers):
            raise Conflict("the dataset has no test pictures")
        for version in (first, second):
            self._check_learnt(version, tests)
        answers = [self._answers(version, tests) for version in (first, second)]
        known = answers[0] >= 0
        truth, one, two = (values[known].tolist() for values in (tests.truth, *answers))
        return compare(truth, one, two, tests.labels)

    def _check_learnt(self, version: str, tests: FrozenDataset) -> None:
        """Raise Conflict if the version has learnt from test pictures, or does not say from which it has learnt."""
        try:
            snapshot = unpack(self._services.registry.file(version, SNAPSHOT_FILE))
        except NotFound as error:
            raise Conflict(f"{version} does not say which pictures it has learnt from") from error
        learnt = {digest for digest, test in zip(snapshot.digests, snapshot.test, strict=True) if not test}
        if seen := sum(digest in learnt for digest in tests.digests):
            raise Conflict(f"{version} has learnt from {seen} of the {len(tests.digests)} present test pictures")

    def _answers(self, version: str, tests: FrozenDataset) -> NDArray[np.int64]:
        """Return the index of the best Label for each picture (n,), −1 if its bytes are gone."""
        try:
            model = self._models.get(version)
        except ModelUnusable as error:
            raise Conflict(f"{version} cannot be loaded: {error}") from error
        answers = np.full(len(tests.numbers), -1)
        blocks, limit = self._services.dataset_pictures.blocks(self._dataset), self._services.settings.max_pixels
        with ThreadPoolExecutor(hardware.cores()) as pool:
            stored = StoredPictures(self._services.blobs, self._dataset, limit, pool)
            for start in range(0, len(answers), BATCH):
                places = range(start, min(start + BATCH, len(answers)))
                wanted = [(blocks[int(tests.blocks[place])], tests.digests[place]) for place in places]
                found = stored.pixels(wanted, model.card.input)
                if found:
                    scores = model.forward(np.stack(list(found.values())))
                    answers[[start + place for place in found]] = scores.argmax(axis=1)
        return answers
