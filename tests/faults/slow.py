"""The worker's Celery app with slower chunks, so that faults can hit the middle of a job."""

import time

from shared.domain.entities import Chunk, Outcome
from worker.classify.classifier import Classifier
from worker.runtime import app as real
from worker.runtime import process
from worker.serving.models import LoadedModel
from worker.timings import Timings

#: Additional seconds per picture: 2.3 for a chunk of 256, next to nothing for a single picture.
PICTURE_S = 0.009


class SlowClassifier(Classifier):
    """A classifier that first waits."""

    def classify(self, chunk: Chunk, model: LoadedModel, stages: Timings | None = None) -> dict[str, Outcome]:
        time.sleep(PICTURE_S * len(chunk.uploads))
        return super().classify(chunk, model, stages)


process.Classifier = SlowClassifier
app = real.app
