"""Import of ONNX and OpenVINO networks: each answers as its own runtime does, and hostile files are refused."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, helper

from shared.domain.card import CARD_FILE, OPENVINO_FILE, ModelCard
from shared.domain.errors import InvalidRequest
from shared.domain.preprocessing import PREPROCESSINGS
from tests.worker.importing import onnx_kit as kit
from tests.worker.importing.kit import imported, refused, served
from tests.worker.importing.onnx_kit import LABELS, PICTURES, SIDE
from worker.importing.files import archive

pytestmark = pytest.mark.usefixtures("few_passes", "no_cifar10")

ZERO_TO_ONE = (PICTURES / np.float32(255)).transpose(0, 3, 1, 2)
MEAN, DEVIATION = (np.array(each).reshape(3, 1, 1) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
IMAGENET = (ZERO_TO_ONE - MEAN) / DEVIATION
SOFTMAX = helper.make_node("Softmax", ["logits"], ["scores"])


def answers(file: Path, content: bytes, threads: int, **wishes: Any) -> tuple[ModelCard, np.ndarray]:
    file.write_bytes(content)
    card = imported(file, **{"labels": LABELS, "preprocessing": None} | wishes)
    return card, served(file, card, threads, PICTURES)


def test_a_network_of_pytorch(tmp_path: Path, threads: int) -> None:
    """(n, 3, height, width), ImageNet's mean and deviation, and logits; there is no file for Keras."""
    content = kit.onnx_model().SerializeToString()
    file = tmp_path / "net.onnx"
    card, given = answers(file, content, threads, preprocessing=PREPROCESSINGS["imagenet"])
    expected = kit.softmax(kit.onnx_answers(content, IMAGENET))
    np.testing.assert_allclose(given, expected, atol=1e-4)
    assert len(set(expected.argmax(axis=1))) > 1
    assert (card.network_file, card.file_sha256) == (OPENVINO_FILE, card.openvino_sha256)
    assert {path.name for path in (tmp_path / "out" / card.version).iterdir()} == {OPENVINO_FILE, CARD_FILE}
    assert (card.params["format"], card.params["softmax_added"]) == ("onnx", True)
    assert card.size.parameters == 8 * 27 + 8 * 4 + 4
    assert file.read_bytes() == content


def test_without_a_hint_the_range_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(kit.onnx_model().SerializeToString())
    reason = refused(tmp_path / "net.onnx", labels=LABELS, preprocessing=None)
    assert reason.startswith("value_range: ") and all(name in reason for name in PREPROCESSINGS)


def test_a_network_that_standardizes_its_input(tmp_path: Path, threads: int) -> None:
    def constant(name: str, values: Any) -> Any:
        value = onnx.numpy_helper.from_array(np.asarray(values, np.float32), name)
        return helper.make_node("Constant", [], [name], value=value)

    before = [
        constant("mean", MEAN[None] * 255),
        constant("deviation", DEVIATION[None] * 255),
        helper.make_node("Sub", ["images", "mean"], ["centered"]),
        helper.make_node("Div", ["centered", "deviation"], ["front"]),
    ]
    content = kit.onnx_model(before=before).SerializeToString()
    card, given = answers(tmp_path / "net.onnx", content, threads)
    expected = kit.softmax(kit.onnx_answers(content, PICTURES.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(given, expected, atol=1e-4)
    assert (card.params["value_range"], card.params["value_range_basis"]) == ("0-255", "network")


def custom_vision(**properties: str) -> onnx.ModelProto:
    """Return a network whose output is a map from labels to scores, and whose metadata says what it takes."""
    nodes = [
        SOFTMAX,
        helper.make_node("ArgMax", ["logits"], ["best"], axis=1),
        helper.make_node("ZipMap", ["scores"], ["loss"], domain="ai.onnx.ml", classlabels_strings=LABELS),
    ]
    scores = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    outputs = [
        helper.make_tensor_value_info("best", TensorProto.INT64, ["n", 1]),
        helper.make_value_info("loss", helper.make_sequence_type_proto(scores)),
    ]
    return kit.onnx_model(*nodes, outputs=outputs, properties=properties)


def test_an_archive_of_custom_vision(tmp_path: Path, threads: int) -> None:
    said = {"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "NominalRange_0_255"}
    model = custom_vision(**said)
    members = {"model.onnx": model.SerializeToString(), "labels.txt": "\n".join(LABELS), "cvexport.manifest": "{}"}
    file = kit.zipped(tmp_path / "upload.keras", members)
    card = imported(file, preprocessing=None)
    given = served(file, card, threads, PICTURES)
    plain = kit.onnx_model(SOFTMAX).SerializeToString()
    blue_first = PICTURES[..., ::-1].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(given, kit.onnx_answers(plain, blue_first), atol=1e-4)
    assert (card.labels, card.params["value_range_basis"]) == (LABELS, "stated")
    assert card.notes[0] == "Pixel values: 0 to 255, blue first, as the metadata in the file says."


def test_what_custom_vision_says_in_a_file_of_its_own(tmp_path: Path, threads: int) -> None:
    said = {
        "CustomVision.Preprocess.NormalizeMean": "[0.0, 0.0, 0.0]",
        "CustomVision.Preprocess.NormalizeStd": "[1.0, 1.0, 1.0]",
        "Image.BitmapPixelFormat": "Rgb8",
        "Image.NominalPixelRange": "Normalized_0_1",
    }
    content = kit.onnx_model(SOFTMAX).SerializeToString()
    members = {
        "m/model.onnx": content,
        "m/labels.txt": "\n".join(LABELS),
        "m/metadata_properties.json": json.dumps(said),
    }
    file = kit.zipped(tmp_path / "upload.keras", members)
    card = imported(file, preprocessing=None)
    np.testing.assert_allclose(served(file, card, threads, PICTURES), kit.onnx_answers(content, ZERO_TO_ONE), atol=1e-4)
    said["CustomVision.Preprocess.NormalizeMean"] = "[127.0, 127.0, 127.0]"
    members["m/metadata_properties.json"] = json.dumps(said)
    (tmp_path / "again").mkdir()
    assert "value_range" in refused(kit.zipped(tmp_path / "again" / "upload.keras", members), preprocessing=None)


def test_an_archive_of_lobe(tmp_path: Path, threads: int) -> None:
    """Its signature says the labels, and which output has the scores."""
    best = helper.make_node("ArgMax", ["logits"], ["best"], axis=1)
    outputs = [
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", len(LABELS)]),
        helper.make_tensor_value_info("best", TensorProto.INT64, ["n", 1]),
    ]
    signature = {
        "doc_id": "1",
        "outputs": {"Confidences": {"name": "scores"}, "Prediction": {"name": "best"}},
        "classes": {"Label": LABELS},
    }
    content = kit.onnx_model(SOFTMAX, best, outputs=outputs).SerializeToString()
    file = kit.zipped(tmp_path / "upload.keras", {"model.onnx": content, "signature.json": json.dumps(signature)})
    card = imported(file, preprocessing=None)
    expected = kit.onnx_answers(content, ZERO_TO_ONE)
    np.testing.assert_allclose(served(file, card, threads, PICTURES), expected, atol=1e-4)
    assert (card.labels, card.params["value_range"]) == (LABELS, "0-1")
    assert "Lobe" in card.notes[0] and card.preprocessing.resize == "crop"


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_batch_is_made_free_or_served_one_by_one(tmp_path: Path, threads: int, batch: int) -> None:
    """A Reshape to (1, 8) would mix the images of a batch, so that network gets one at a time."""
    content = kit.onnx_model(SOFTMAX, batch=batch).SerializeToString()
    _, given = answers(tmp_path / "net.onnx", content, threads, preprocessing=PREPROCESSINGS["0-1"])
    free = kit.onnx_model(SOFTMAX).SerializeToString()
    np.testing.assert_allclose(given, kit.onnx_answers(free, ZERO_TO_ONE), atol=1e-4)


def test_a_network_that_takes_one_image_at_a_time(tmp_path: Path, threads: int) -> None:
    shape = onnx.numpy_helper.from_array(np.array([1, 4]), "shape")
    nodes = [
        helper.make_node("Constant", [], ["shape"], value=shape),
        helper.make_node("Reshape", ["logits", "shape"], ["row"]),
        helper.make_node("Sigmoid", ["row"], ["scores"]),
    ]
    content = kit.onnx_model(*nodes, batch=1).SerializeToString()
    card, given = answers(tmp_path / "net.onnx", content, threads, preprocessing=PREPROCESSINGS["0-1"])
    np.testing.assert_allclose(given, kit.onnx_answers(content, ZERO_TO_ONE), atol=1e-4)
    assert card.outputs == "independent"


def test_a_zipped_openvino_network(tmp_path: Path, threads: int) -> None:
    model = kit.onnx_model(SOFTMAX)
    file = kit.zipped(tmp_path / "upload.keras", kit.members_of(kit.openvino_files(model, tmp_path / "ir"), "x/"))
    card = imported(file, labels=LABELS, preprocessing=PREPROCESSINGS["imagenet-bgr"])
    inputs = PICTURES[..., ::-1].transpose(0, 3, 1, 2) - np.array([103.939, 116.779, 123.68]).reshape(3, 1, 1)
    expected = kit.onnx_answers(model.SerializeToString(), inputs)
    np.testing.assert_allclose(served(file, card, threads, PICTURES), expected, atol=1e-4)


def test_a_version_of_ones_own_can_be_imported_again(tmp_path: Path, threads: int) -> None:
    """The file of such a version is OpenVINO's, and takes uint8 images."""
    content = kit.onnx_model(SOFTMAX).SerializeToString()
    card, given = answers(tmp_path / "net.onnx", content, threads, preprocessing=PREPROCESSINGS["imagenet"])
    (tmp_path / "again").mkdir()
    file = (tmp_path / "out" / card.version / OPENVINO_FILE).rename(tmp_path / "again" / "upload.keras")
    again = imported(file, labels=LABELS, preprocessing=None)
    np.testing.assert_allclose(served(file, again, threads, PICTURES), given, atol=1e-5)
    assert again.params["value_range"] == "0-255"


def test_what_an_export_of_darkroom_says(tmp_path: Path, threads: int) -> None:
    said = {"scale": [0.01, 0.02, 0.03], "offset": 1, "channels": "BGR", "resize": "crop", "views": "one"}
    content = kit.onnx_model(SOFTMAX).SerializeToString()
    members = {"model.onnx": content, "labels.txt": "\n".join(LABELS), "preprocessing.json": json.dumps(said)}
    file = kit.zipped(tmp_path / "upload.keras", members)
    card = imported(file, preprocessing=None)
    inputs = (PICTURES * np.array([0.01, 0.02, 0.03]) + 1)[..., ::-1].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(served(file, card, threads, PICTURES), kit.onnx_answers(content, inputs), atol=1e-4)
    assert (card.labels, card.params["value_range_basis"]) == (LABELS, "stated")
    assert card.preprocessing.resize == "crop"


@pytest.mark.parametrize("operation", ["Mul", "Sub", "Add"])
@pytest.mark.parametrize("activation", ["Sigmoid", "Softmax"])
def test_scores_that_were_changed_are_neither_scores_nor_logits(
    tmp_path: Path, activation: str, operation: str
) -> None:
    nodes = [
        helper.make_node(activation, ["logits"], ["scores"]),
        helper.make_node("Constant", [], ["hundred"], value_float=100.0),
        helper.make_node(operation, ["scores", "hundred"], ["percent"]),
    ]
    file = tmp_path / "net.onnx"
    file.write_bytes(kit.onnx_model(*nodes).SerializeToString())
    assert f"a {activation.lower()} that is multiplied or shifted" in refused(file, labels=LABELS)


def test_logits_that_were_divided_get_a_softmax(tmp_path: Path, threads: int) -> None:
    nodes = [
        helper.make_node("Constant", [], ["temperature"], value_float=2.0),
        helper.make_node("Div", ["logits", "temperature"], ["calm"]),
    ]
    content = kit.onnx_model(*nodes).SerializeToString()
    card, given = answers(tmp_path / "net.onnx", content, threads, preprocessing=PREPROCESSINGS["0-1"])
    np.testing.assert_allclose(given, kit.softmax(kit.onnx_answers(content, ZERO_TO_ONE)), atol=1e-4)
    assert card.params["softmax_added"]


def outside(tensor: onnx.TensorProto) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../../../../etc/passwd"), ("offset", "0"), ("length", "864")):
        tensor.external_data.add(key=key, value=value)


def nested(model: onnx.ModelProto) -> None:
    """Put weights outside the file into a branch of an If."""
    weights = onnx.TensorProto()
    weights.CopyFrom(model.graph.initializer[0])
    outside(weights)
    branch = helper.make_graph([], "branch", [], [], [weights])
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))


def as_constant(model: onnx.ModelProto) -> None:
    weights = onnx.TensorProto()
    weights.CopyFrom(model.graph.initializer[0])
    outside(weights)
    model.graph.node.append(helper.make_node("Constant", [], ["y"], value=weights))


def deep(model: onnx.ModelProto) -> None:
    graph = helper.make_graph([], "inner", [], [])
    for _ in range(20):
        node = helper.make_node("If", ["x"], ["y"], then_branch=graph)
        graph = helper.make_graph([node], "outer", [], [])
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=graph))


def custom(model: onnx.ModelProto) -> None:
    model.graph.node[-1].op_type, model.graph.node[-1].domain = "Evil", "evil.domain"
    model.opset_import.append(helper.make_opsetid("evil.domain", 1))


def random_scores(model: onnx.ModelProto) -> None:
    model.graph.node[-1].op_type = "RandomUniformLike"
    del model.graph.node[-1].input[1:]


def endless(model: onnx.ModelProto) -> None:
    """Repeat the logits 2⁶² times."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Identity", ["state"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, ["n", 4]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, ["n", 4]),
        ],
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(2**62), "times"))
    model.graph.node[-1].output[0] = "first"
    model.graph.node.append(helper.make_node("Loop", ["times", "", "first"], ["logits"], body=body))


HOSTILE: dict[str, tuple[Callable[[onnx.ModelProto], None], str]] = {
    "weights in another file": (lambda model: outside(model.graph.initializer[0]), "in another file"),
    "a constant in another file": (as_constant, "in another file"),
    "weights of a branch in another file": (nested, "in another file"),
    "nested graphs": (deep, "nested"),
    "an operation of its own": (custom, "evil.domain.Evil"),
    "random answers": (random_scores, "is random"),
    "a loop": (endless, "repeats or skips"),
    "no output": (lambda model: model.graph.ClearField("output"), "outputs"),
    "no weights": (lambda model: model.graph.ClearField("initializer"), "OpenVINO cannot read"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused(tmp_path: Path, what: str) -> None:
    change, reason = HOSTILE[what]
    file = tmp_path / "net.onnx"
    file.write_bytes(kit.changed(kit.onnx_model(), change))
    assert reason in refused(file, labels=LABELS)


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        (["n", 1, 24, 24], "(n, 1, 24, 24)"),
        (["n", 3, "h", "w"], "(n, 3, n, n)"),
        (["n", 3, 600, 600], "600 × 600"),
        (["n", 3, 24], "(n, 3, 24)"),
        (["n", 3, 24, 24], "output shape is ()"),
    ],
)
def test_wrong_shapes_are_named(tmp_path: Path, shape: list[Any], found: str) -> None:
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x"], ["m"], keepdims=0)],
        "wrong",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("m", TensorProto.FLOAT, [])],
    )
    file = tmp_path / "net.onnx"
    file.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    assert found in refused(file, labels=LABELS)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    content = kit.onnx_model().SerializeToString()
    (tmp_path / "net.onnx").write_bytes(content[: int(len(content) * share)])
    assert "damaged" in refused(tmp_path / "net.onnx", labels=LABELS)


@pytest.mark.parametrize("seed", range(6))
def test_random_bytes_are_refused_or_harmless(tmp_path: Path, seed: int) -> None:
    content = bytearray(kit.onnx_model().SerializeToString())
    noise = random.Random(seed)
    if seed == 0:
        content = bytearray(b"\x08\x08\x12" + noise.randbytes(3000))
    for _ in range(3 * seed):
        content[noise.randrange(len(content))] = noise.randrange(256)
    (tmp_path / "net.onnx").write_bytes(content)
    try:
        imported(tmp_path / "net.onnx", labels=LABELS)
    except InvalidRequest:
        assert list((tmp_path / "out").glob("*")) == []


def network_files(tmp_path: Path) -> dict[str, bytes]:
    folder = kit.openvino_files(kit.onnx_model(SOFTMAX), tmp_path / "ir")
    return {name: (folder / name).read_bytes() for name in ("network.xml", "network.bin")}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"network.bin": None}, "without its weights, 'network.bin'"),
        ({"network.bin": b"short"}, "OpenVINO cannot read the OpenVINO network: Incorrect weights"),
        ({"network.xml": (b'type="Convolution"', b'type="Evil"')}, "operation with type: Evil"),
        ({"network.xml": b"<net"}, "OpenVINO cannot read the OpenVINO network"),
        ({"network.xml": b""}, "OpenVINO cannot read the OpenVINO network"),
        ({"other.xml": b"<net/>"}, "several models"),
        ({"labels.txt": b"a\na\nb\nc"}, "a label appears twice"),
        ({"signature.json": b"{"}, "signature.json in the archive is not JSON"),
        ({"labels.txt": bytes(300_000)}, "the limit is"),
    ],
)
def test_a_damaged_archive_is_refused(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    members: dict[str, Any] = dict(network_files(tmp_path))
    for name, content in change.items():
        members[name] = members[name].replace(*content) if isinstance(content, tuple) else content
    kept = {name: content for name, content in members.items() if content is not None}
    labels = None if "labels.txt" in change else LABELS
    assert reason in refused(kit.zipped(tmp_path / "upload.keras", kept), labels=labels)


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 10_000_000)
    members = network_files(tmp_path) | {"network.bin": bytes(11_000_000)}
    assert "the limit is 10000000" in refused(kit.zipped(tmp_path / "upload.keras", members), labels=LABELS)


def test_names_in_an_archive_are_only_looked_at(tmp_path: Path, threads: int) -> None:
    members = {f"../../{tmp_path.name}/../x/{name}": content for name, content in network_files(tmp_path).items()}
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    file = kit.zipped(tmp_path / "upload.keras", members)
    card = imported(file, labels=LABELS)
    assert served(file, card, threads, PICTURES).shape == (5, 4)
    left = {path for path in tmp_path.rglob("*") if path.is_file() and "out" not in path.parts}
    assert left == before | {file} and not (tmp_path.parent / "x").exists()


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    file = kit.zipped(tmp_path / "upload.keras", network_files(tmp_path))
    content = bytearray(file.read_bytes())
    content[60:160] = os.urandom(100)
    file.write_bytes(content)
    assert "damaged" in refused(file, labels=LABELS)


def test_openvino_has_the_same_network(tmp_path: Path) -> None:
    """What is published can be read by OpenVINO alone."""
    (tmp_path / "net.onnx").write_bytes(kit.onnx_model(SOFTMAX).SerializeToString())
    card = imported(tmp_path / "net.onnx", labels=LABELS)
    with archive.ZipFile(tmp_path / "out" / card.version / OPENVINO_FILE) as files:
        files.extractall(tmp_path / "alone")
    network = openvino.Core().read_model(tmp_path / "alone" / "network.xml")
    assert str(network.input(0).get_partial_shape()) == f"[?,{SIDE},{SIDE},3]"
