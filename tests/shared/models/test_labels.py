"""Files that list the labels of a model."""

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.domain.errors import InvalidRequest
from shared.models.import_queue import Labels
from shared.models.labels import parse_labels


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("air\ncar\n", ["air", "car"]),
        ("  air \r\n\r\ncar", ["air", "car"]),
        ("0 air\n1 car, red\n", ["air", "car, red"]),  # Teachable Machine
        ("0 air\n2 car\n", ["0 air", "2 car"]),
        ("1 air\n2 car\n", ["1 air", "2 car"]),
        ("0\n1\n", ["0", "1"]),
        ("0 air\ncar\n", ["0 air", "car"]),
        (' ["air", "c\\u00e4r"]', ["air", "cär"]),
        ("", []),
    ],
)
def test_the_labels_of_a_file(text: str, labels: list[str]) -> None:
    assert parse_labels(text) == labels


@pytest.mark.parametrize("text", ['["air"', '["air", 3]', "[" * 100_000])
def test_a_broken_list_is_an_error(text: str) -> None:
    with pytest.raises(InvalidRequest, match="labels"):
        parse_labels(text)


@pytest.mark.parametrize("labels", [[], ["air"], ["air", "air"], ["air", ""], ["air", "x" * 65]])
def test_labels_that_a_model_cannot_have(labels: list[str]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Labels).validate_python(labels)
