"""The worker's Celery app with slower chunks, so that faults can hit the middle of a job."""

import time
from collections.abc import Iterator, Sequence

from shared.domain.entities import Chunk
from worker.classify.classifier import Classified, Classifier
from worker.runtime import app as real
from worker.runtime import process
from worker.serving.models import LoadedModel
from worker.timings import Timings

#: Additional seconds per picture: 2.3 for a chunk of 256, next to nothing for a single picture.
PICTURE_S = 0.009


class SlowClassifier(Classifier):
    """A classifier that first waits."""

    def classify_together(self, chunks: Sequence[Chunk], model: LoadedModel, timings: Timings) -> Iterator[Classified]:
        time.sleep(PICTURE_S * sum(len(chunk.uploads) for chunk in chunks))
        return super().classify_together(chunks, model, timings)


process.Classifier = SlowClassifier
app = real.app
