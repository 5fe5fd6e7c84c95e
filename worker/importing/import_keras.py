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
from worker.importing import keras2_file, keras3_h5
from worker.importing.adapt_model import adapt_model, check_shapes, try_network
from worker.importing.files.unpacked import Unpacked
from worker.importing.front import Front
from worker.importing.input_range import Measure, find_range
from worker.importing.keras2_config import to_keras_3
from worker.importing.keras_front import find_fronts
from worker.importing.keras_scores import last_activation
from worker.importing.labelled import Pictures, labelled_pictures
from worker.importing.model_config import check
from worker.importing.model_file import ModelFile, first_line, read_config
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
        config = _config(found, file.suffix)
        check(config)
        with warnings.catch_warnings(), tempfile.TemporaryDirectory(dir=file.parent) as folder:
            warnings.simplefilter("ignore")  # Keras warns about old file formats
            return _finished(_load(file, found, config, Path(folder)))
    except InvalidRequest:
        raise
    except Exception as error:  # Keras and the ZIP and HDF5 readers raise many types
        raise InvalidRequest(f"Keras cannot load the model: {first_line(error)}") from error


def _config(found: ModelFile, ending: str) -> dict[str, Any]:
    """Return the configuration in a file as Keras 3 can load it."""
    if found.is_keras_2:
        return to_keras_3(found.config, ending)
    return keras3_h5.with_modules(found.config) if ending == ".h5" else found.config


def _load(file: Path, found: ModelFile, config: dict[str, Any], folder: Path) -> Any:
    if found.is_keras_2:
        return keras2_file.load(file, config, folder)
    if config != found.config:
        return keras3_h5.load(file, config)
    return keras.saving.load_model(file, compile=False, safe_mode=True)


def _finished(network: Any) -> Any:
    """Return a network whose normalizations use the mean and the variance in the file.

    Keras does not update those of nested models that it loads from a `.h5` file, such as an EfficientNet in a model.
    """
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    return network


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
