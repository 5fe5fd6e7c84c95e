"""Import a Keras model: check it, load it safely, and publish it with what is missing for scores of each label."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from shared.domain.card import ModelCard
from shared.domain.errors import InvalidRequest
from shared.domain.preprocessing import Preprocessing
from shared.models.import_queue import ModelImport
from worker.importing import keras2_file
from worker.importing.adapt_model import adapt_model, check_shapes, try_network
from worker.importing.files.unpacked import Unpacked
from worker.importing.front import Front
from worker.importing.input_range import Measure, find_range
from worker.importing.keras2_config import to_keras_3
from worker.importing.keras_front import find_fronts
from worker.importing.keras_scores import last_activation
from worker.importing.labelled import Pictures, labelled_pictures
from worker.importing.model_config import check
from worker.importing.model_file import first_line, read_config
from worker.importing.provenance import cifar10_for, provenance_of, temperature_of
from worker.importing.scores import find_scores
from worker.publishing.publish import publish_file
from worker.serving.preprocess import preprocess

#: Pictures in one pass, of any size up to the largest.
BATCH_SIZE = 32


def import_keras(unpacked: Unpacked, wanted: ModelImport, folder: Path, out: Path) -> ModelCard:
    """Publish the model as the folder `out`/<version>, and return its card. `folder` is for temporary files.

    Raises InvalidRequest with the reason if the file is refused.
    """
    loaded = read_config(unpacked.file)
    network = load_network(unpacked.file)
    labels = check_shapes(network, wanted.labels or unpacked.labels)
    height, width, channels = network.inputs[0].shape[1:]
    dataset = cifar10_for(labels, (height, width, channels))
    pictures = labelled_pictures(labels, height, width, dataset)
    used = find_range(
        fronts_of(network), wanted.preprocessing, unpacked.stated, pictures, measure_on(network, pictures)
    )
    answers = try_network(network, used.preprocessing)
    scores = find_scores(last_activation(network), answers, labels, loss=loaded.loss)
    saved = folder / "served.keras"
    adapt_model(network, scores).save(saved)
    provenance = provenance_of(unpacked, wanted, labels, used, scores)
    return publish_file(saved, provenance, out, dataset, temperature_of(dataset, scores))


def load_network(file: Path) -> Any:
    """Return the network in the file after checking its configuration. Raises InvalidRequest."""
    found = read_config(file)
    try:
        config = to_keras_3(found.config, file.suffix) if found.is_keras_2 else found.config
        check(config)
        with warnings.catch_warnings(), tempfile.TemporaryDirectory(dir=file.parent) as folder:
            warnings.simplefilter("ignore")  # Keras warns about old file formats
            if found.is_keras_2:
                return keras2_file.load(file, config, Path(folder))
            return keras.saving.load_model(file, compile=False, safe_mode=True)
    except InvalidRequest:
        raise
    except Exception as error:  # Keras and the ZIP and HDF5 readers raise many types
        raise InvalidRequest(f"Keras cannot load the model: {first_line(error)}") from error


def fronts_of(network: Any) -> list[Front | None]:
    """Return the network's fronts; none if it does not run, which `try_network` reports."""
    try:
        return find_fronts(network)
    except Exception:  # noqa: BLE001  # layers raise many types
        return []


def measure_on(network: Any, pictures: Pictures | None) -> Measure:
    """Return a function that returns whether the network is right about each of the pictures."""

    def measure(how: Preprocessing) -> NDArray[np.bool_]:
        if pictures is None:
            return np.zeros(0, np.bool_)
        inputs = preprocess(pictures.x.astype(np.float32), how)
        answers = network.predict(inputs, batch_size=BATCH_SIZE, verbose=0)
        return np.asarray(answers.argmax(axis=1) == pictures.y)

    return measure
