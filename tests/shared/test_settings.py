"""Settings: defaults, and errors of one line that name the variable."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import ConfigError
from shared.settings import PREFIX, Settings, load_settings

NUMBERS = [
    "PORT",
    "WEB_PROCESSES",
    "WEB_THREADS",
    "CLASSIFY_WORKERS",
    "MAX_FILE_BYTES",
    "MAX_REQUEST_BYTES",
    "MAX_ITEMS",
    "MAX_PIXELS",
    "RETENTION_HOURS",
]
WRONG = [
    *((name, value) for name in NUMBERS for value in ("", "x", "0", "-1", "1.5", "1\n2", "9" * 5000)),
    ("PORT", "65536"),
    ("HOST", ""),
    *((name, "") for name in ("REDIS_URL", "BROKER_URL", "DATA_DIR", "CIFAR10")),
    ("DATA_DIR", "  "),
    *((name, "/folder\udcff") for name in ("DATA_DIR", "CIFAR10")),
    *(("STORAGE_URL", value) for value in ("", "bucket", "ftp://host/x", "memory://", "s3://", "file:///tmp")),
]


def names_and_is_one_line(error: ConfigError, name: str) -> bool:
    return str(error).startswith(name) and len(str(error).splitlines()) == 1


def test_variables_of_the_client_are_ignored() -> None:
    assert load_settings({"DARKROOM_URL": "http://127.0.0.1:5000", "DARKROOM_API_KEY": "secret"}) == Settings()


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = load_settings({})
    assert settings == Settings()
    assert (settings.host, settings.port, settings.data_dir) == ("127.0.0.1", 5000, Path("var"))
    assert (settings.redis_url, settings.broker_url, settings.storage_url) == (None, None, None)


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_variables_are_read_and_others_ignored() -> None:
    settings = load_settings({"DARKROOM_PORT": "8080", "DARKROOM_DATA_DIR": "/x", "HOME": "/", "darkroom_port": "1"})
    assert (settings.port, settings.data_dir) == (8080, Path("/x"))


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_MAX_ITEMS", "7")
    assert load_settings().max_items == 7


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_one_line_that_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({PREFIX + name: value})
    assert names_and_is_one_line(caught.value, PREFIX + name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "redis://:secret@host:6380/3"),
        ("REDIS_URL", "rediss://host"),
        ("BROKER_URL", "redis://host/1"),
        ("STORAGE_URL", "s3://bucket"),
        ("STORAGE_URL", "s3://bucket/some/prefix"),
    ],
)
def test_valid_urls_are_accepted(name: str, value: str) -> None:
    assert getattr(load_settings({PREFIX + name: value}), name.lower()) == value


@pytest.mark.parametrize(
    ("name", "hint"),
    [("DARKROOM_PROT", "did you mean DARKROOM_PORT?"), ("DARKROOM_MAX_ITEM", "DARKROOM_MAX_ITEMS"), ("DARKROOM_", "")],
)
def test_an_unknown_variable_is_named_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match="is not a setting") as caught:
        load_settings({name: "1", "DARKROOM_PORT": "80"})
    assert names_and_is_one_line(caught.value, name)
    assert hint in str(caught.value)


@given(st.sampled_from(list(Settings.model_fields)), st.text(st.characters(exclude_characters="\0")))
def test_any_value_is_accepted_or_named(field: str, value: str) -> None:
    name = PREFIX + field.upper()
    try:
        load_settings({name: value})
    except ConfigError as error:
        assert names_and_is_one_line(error, name)


def test_the_broker_uses_the_next_database() -> None:
    assert Settings(redis_url="rediss://host/2").resolved_broker_url() == "rediss://host/3"


def test_a_separate_broker_is_used() -> None:
    settings = load_settings({"DARKROOM_REDIS_URL": "redis://a/0", "DARKROOM_BROKER_URL": "redis://b/5"})
    assert settings.resolved_broker_url() == "redis://b/5"


def test_without_a_redis_the_error_says_how_to_get_one() -> None:
    with pytest.raises(ConfigError, match="darkroom up") as caught:
        Settings().resolved_broker_url()
    assert names_and_is_one_line(caught.value, "DARKROOM_REDIS_URL")


@pytest.mark.parametrize("url", ["http://:secret@host/0", "redis://:secret/x@host/0", "redis://host?password=secret"])
def test_errors_contain_no_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({"DARKROOM_REDIS_URL": url})
    assert names_and_is_one_line(caught.value, "DARKROOM_REDIS_URL")
    assert "secret" not in str(caught.value)
