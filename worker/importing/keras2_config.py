"""Convert configurations that Keras 2 (tf.keras, or Keras before TensorFlow) wrote into those that Keras 3 reads.

What differs: the first layer of a Sequential may declare the input shape; layers are listed without modules, or with
those of Keras 2; arguments and layers that Keras 3 no longer has; dtype policies; the numbers of the calls of nested
models; and operations of TensorFlow (`keras2_ops`). Only the result is checked and loaded.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import keras

from shared.domain.errors import InvalidRequest
from worker.importing import keras2_graph
from worker.importing.model_config import ANEW, keras_class

Config = dict[str, Any]

#: Entries of a layer's configuration that declare its input shape, including the batch size.
SHAPES = ("batch_input_shape", "batch_shape")
#: Classes of Keras 2 whose answers are those of another class of Keras 3. After training, RandomHeight and RandomWidth
#: do nothing, and RandomCrop cuts to the ratio of its sides and scales, which that of Keras 3 does not.
RENAMED = {
    "Custom>CustomScaleLayer": "CustomScaleLayer",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "Model": "Functional",
    "RandomCrop": "Resizing",
    "RandomHeight": "Identity",
    "RandomWidth": "Identity",
    "SyncBatchNormalization": "BatchNormalization",
    "ThresholdedReLU": "ReLU",
}
#: Arguments of Keras 2 that Keras 3 has under another name.
RENAMED_ARGUMENTS = {("LeakyReLU", "alpha"): "negative_slope", ("ReLU", "theta"): "threshold"}
#: Arguments of layers that have got another class.
ADDED = {"RandomCrop": {"crop_to_aspect_ratio": True}}
#: Arguments that Keras 3 no longer has and that never change an answer, and values at which others do not.
WITHOUT_EFFECT = {
    "adjustment", "dtype", "dynamic", "experimental_autocast", "factor", "fused", "implementation", "input_dtype",
    "input_length", "interpolation", "kernel_constraint", "kernel_initializer", "kernel_regularizer", "key_shape",
    "noise_shape", "query_shape", "rng_type", "seed", "trainable", "value_shape",
}  # fmt: skip
NEUTRAL = {"groups": 1}
#: An activation that is another function in Keras 3.
HARD_SIGMOID = "hard_sigmoid"


def to_keras_3(config: Config, ending: str) -> Config:
    """Return the configuration of a model file with this ending for Keras 3.

    Raises InvalidRequest for what cannot be converted.
    """
    if ending == ".keras" and HARD_SIGMOID in _strings(config):  # its weights are found by the places of the layers
        raise InvalidRequest(
            f"the activation {HARD_SIGMOID!r} is another function in Keras 3: save the model with Keras 2 as "
            "a .h5 file, which Darkroom can convert"
        )
    return _part(config)


def _strings(config: Any) -> Iterator[str]:
    """Yield all strings in a configuration."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, (list, dict)):
            waiting += value.values() if isinstance(value, dict) else value


def _part(part: Config) -> Config:
    """Return a model, a layer, or an argument of a layer for Keras 3."""
    old = part["class_name"]
    part = part | {"class_name": RENAMED.get(old, old)}
    if old in ADDED:
        part |= {"config": part["config"] | ADDED[old]}
    if part["class_name"] == "Sequential":
        return _keras_3_class(part, _sequential(part["config"]))
    if part["class_name"] == "Functional":
        layers = [_part(layer) for layer in part["config"]["layers"]]
        return _keras_3_class(part, keras2_graph.to_keras_3(part["config"], layers))
    return _layer(part)


def _sequential(config: Any) -> Config:
    if isinstance(config, list):  # before Keras 2.2.3
        config = {"name": "sequential", "layers": config}
    layers = [_part(layer) for layer in config["layers"]]
    kept = {name: config[name] for name in ("name", "trainable", "build_input_shape") if name in config}
    return kept | {"layers": [*_missing_input(config["layers"]), *layers]}


def _missing_input(layers: list[Config]) -> list[Config]:
    """Return the input layer that is missing before the `layers` of a Sequential, as a list of none or one."""
    if not layers or layers[0]["class_name"] == "InputLayer" or not isinstance(layers[0]["config"], dict):
        return []
    first = layers[0]["config"]
    shape = next((first[name] for name in SHAPES if first.get(name)), None)
    if shape is None:
        return []
    return [{"class_name": "InputLayer", "config": {"batch_shape": shape, "name": f"{first['name']}_input"}}]


def _layer(part: Config) -> Config:
    known = keras_class(part["class_name"])
    if known is None or known is keras.layers.Lambda or not _is_keras_own(part):
        return part  # `model_config.check` refuses it by name
    config = {name: _argument(value) for name, value in part["config"].items()}
    if part["class_name"] == "InputLayer":
        config["batch_shape"] = next((config[name] for name in SHAPES if config.get(name)), None)
    config = {RENAMED_ARGUMENTS.get((part["class_name"], name), name): value for name, value in config.items()}
    kept = _accepted(known, config) | _axis(config)
    return _with_old_hard_sigmoid(_keras_3_class(part, kept))


def _is_keras_own(part: Config) -> bool:
    """Return whether a part claims to be Keras's own, whatever the version called the module."""
    module = str(part.get("module") or "keras")
    root = module.removeprefix("tensorflow.python.").removeprefix("tensorflow.").split(".")[0]
    is_known = root in ("keras", "tf_keras") or module.startswith("tensorflow.python.ops.init_ops")
    registered = part.get("registered_name")
    return is_known and (registered in (None, part["class_name"]) or RENAMED.get(registered) == part["class_name"])


def _keras_3_class(part: Config, config: Config) -> Config:
    """Return a part with another configuration, and its class at the place where Keras 3 has it."""
    if not _is_keras_own(part):
        return part
    places = {"Functional": "keras.src.models.functional", "Sequential": "keras"}
    name, known = part["class_name"], keras_class(part["class_name"])
    is_layer = known is not None and issubclass(known, keras.layers.Layer)
    default = "keras.layers" if hasattr(keras.layers, name) else getattr(known, "__module__", "")
    kept = {name: part[name] for name in ("name", "inbound_nodes") if name in part}
    config = config | {"name": keras2_graph.without_slashes(str(config["name"]))} if "name" in config else config
    place = {"module": places.get(name, default), "registered_name": None} if is_layer else {}
    return kept | place | {"class_name": name, "config": config}


def _argument(value: Any) -> Any:
    """Return the argument of a layer: a layer, an initializer, a dtype policy or a plain value."""
    if isinstance(value, list):
        return [_argument(each) for each in value]
    if not isinstance(value, dict):
        return value
    name, config = value.get("class_name"), value.get("config")
    if name in ("Policy", "PolicyV1") and isinstance(config, dict):
        return config.get("name")
    if isinstance(name, str) and isinstance(config, (dict, list)):
        return _part(value)
    return value


def _accepted(known: type, config: Config) -> Config:
    """Return the arguments that a class of Keras 3 accepts; raise InvalidRequest if another one has an effect."""
    accepted = _parameters(known)
    other = {name: value for name, value in config.items() if name not in accepted}
    is_layer = issubclass(known, keras.layers.Layer)
    for name, value in other.items():
        neutral = not value or name in WITHOUT_EFFECT or name in SHAPES or NEUTRAL.get(name) == value
        if is_layer and not neutral:
            raise InvalidRequest(
                f"the layer {config.get('name')!r} has {name}={value!r}, which {known.__name__} of Keras 3 no longer "
                f"has: {ANEW}"
            )
    return {name: value for name, value in config.items() if name in accepted}


def _parameters(known: type) -> set[str]:
    """Return the names of a constructor's parameters, and of those that it passes on."""
    names: set[str] = set()
    for parent in known.__mro__:
        if "__init__" in vars(parent):
            found = inspect.signature(parent.__init__).parameters.values()  # type: ignore[misc]
            names |= {each.name for each in found if each.kind is not each.VAR_KEYWORD}
            if not any(each.kind is each.VAR_KEYWORD for each in found):
                break
    return names


def _axis(config: Config) -> Config:
    """Return the axis as a number if it is a list of one, as Keras 2 wrote it."""
    axis = config.get("axis")
    return {"axis": axis[0]} if isinstance(axis, list) and len(axis) == 1 else {}


def _with_old_hard_sigmoid(layer: Config) -> Config:
    """Return a layer whose activation is Keras 2's hard sigmoid, max(0, min(1, 0.2 x + 0.5)); Keras 3 has another one.

    It becomes a Sequential of the layer without activation and two layers that compute it.
    """
    config = layer["config"]
    if HARD_SIGMOID not in (config.get("activation"), config.get("recurrent_activation")):
        return layer
    if config.get("recurrent_activation") == HARD_SIGMOID:
        raise InvalidRequest(
            f"the layer {config.get('name')!r} has the recurrent activation {HARD_SIGMOID!r}, which is another "
            f"function in Keras 3: {ANEW}"
        )
    name = config["name"]
    layers = [
        layer | {"config": config | {"name": f"{name}_linear", "activation": "linear"}},
        {"module": "keras.layers", "class_name": "Rescaling", "config": {"scale": 0.2, "offset": 0.5}},
        {"module": "keras.layers", "class_name": "ReLU", "config": {"max_value": 1.0}},
    ]
    for place, each in enumerate(layers):
        each["registered_name"] = None
        each["config"] = {"name": f"{name}_{place}"} | each["config"]
    return layer | {"module": "keras", "class_name": "Sequential", "config": {"name": name, "layers": layers}}
