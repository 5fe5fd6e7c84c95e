"""Settings: environment variables `DARKROOM_*`, read once where a process starts and passed on from there."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from shared.access.api_keys import ApiKey, is_loopback, parse_keys
from shared.domain.errors import ConfigError
from shared.webhooks.addresses import AllowList

PREFIX = "DARKROOM_"
#: Variables of the command line and the Python client, not of the service: it may be started where they are set.
CLIENT_VARIABLES = {"DARKROOM_URL", "DARKROOM_API_KEY"}
MIB = 1024 * 1024

Positive = Annotated[int, Field(gt=0)]
RedisUrl = Annotated[str, Field(pattern=r"^rediss?://")]
#: Stores that every process sees: obstore would also take memory:// and file://.
StorageUrl = Annotated[str, Field(pattern=r"^(s3|gs|az)://[^/]")]
#: Only what is kept of a key, so that nothing that shows the settings shows one.
ApiKeys = Annotated[
    tuple[ApiKey, ...], BeforeValidator(lambda text: parse_keys(text) if isinstance(text, str) else text)
]
#: Settings whose value is not repeated in an error.
SECRETS = {"DARKROOM_API_KEYS"}


class Settings(BaseModel):
    """Every setting, its default and its unit. `docs/settings.md` holds the same list for people."""

    model_config = ConfigDict(frozen=True)

    host: str = Field("127.0.0.1", min_length=1, description="address that the web server listens on")
    port: int = Field(5000, ge=1, le=65535, description="port that the web server listens on")
    api_keys: ApiKeys | None = Field(
        None, description="keys that are accepted beside those of `darkroom keys`: name:key[:scopes[:owner]], …"
    )
    allow_keyless: bool = Field(
        False, description="serve others than this machine without keys, where something else keeps strangers out"
    )
    trusted_proxies: int = Field(
        0, ge=0, description="proxies in front, whose X-Forwarded-For and X-Forwarded-Proto are believed"
    )
    data_dir: Path = Field(Path("var"), description="folder for uploads, the embedded Redis and the logs")
    redis_url: RedisUrl | None = Field(None, description="a Redis to use; the embedded one where it is not set")
    broker_url: RedisUrl | None = Field(
        None, description="a Redis for Celery's messages; the database after that of REDIS_URL where it is not set"
    )
    redis_max_bytes: int = Field(1024 * MIB, ge=64 * MIB, description="memory of the embedded Redis, in bytes")
    redis_fsync: Literal["everysec", "always"] = Field(
        "everysec", description="when the embedded Redis writes to the disk; always: also a power cut loses nothing"
    )
    storage_url: StorageUrl | None = Field(
        None, description="where pictures are kept, such as s3://bucket/prefix; the data folder where it is not set"
    )
    web_processes: Positive = Field(2, description="gunicorn processes")
    web_threads: Positive = Field(16, description="threads, and so requests at a time, in each of them")
    classify_workers: Positive = Field(2, description="worker processes for all jobs, beside the one for small jobs")
    max_file_bytes: Positive = Field(64 * MIB, description="bytes in one picture")
    max_request_bytes: Positive = Field(4096 * MIB, description="bytes in one request, and in an unpacked archive")
    max_items: Positive = Field(100_000, description="pictures in one job")
    max_pixels: Positive = Field(120_000_000, description="width × height of one picture")
    requests_per_hour: Positive = Field(100_000, description="requests of one key, or of one address without a key")
    bytes_per_hour: Positive = Field(32 * 1024 * MIB, description="bytes that one key may send")
    items_per_hour: Positive = Field(500_000, description="pictures that one key may send")
    max_open_jobs: Positive = Field(100, description="jobs that are not over, of one owner; where keys are in use")
    retention_hours: Positive = Field(24 * 7, description="hours that a finished job and its pictures are kept")
    webhook_allow: str | None = Field(
        None, description="hosts and networks that webhooks may go to though they are not public, with commas between"
    )
    cifar10: Path | None = Field(None, description="CIFAR-10 as one .npz, for training without a download")

    @field_validator("webhook_allow")
    @classmethod
    def _is_readable(cls, text: str | None) -> str | None:
        AllowList.parse(text or "")
        return text

    @property
    def webhooks_allowed(self) -> AllowList:
        """What webhooks may go to beside public addresses."""
        return AllowList.parse(self.webhook_allow or "")

    @property
    def needs_stored_key(self) -> bool:
        """Return whether a key in the store is needed: others can reach the service, and no setting has a key."""
        return self.is_exposed_on(self.host) and not self.api_keys

    def is_exposed_on(self, address: str) -> bool:
        """Return whether other machines can reach `address` and nothing else keeps strangers out."""
        return not self.allow_keyless and (self.trusted_proxies > 0 or not is_loopback(address))

    def resolved_redis_url(self) -> str:
        """The job store's Redis. Raises ConfigError where none is set: only `darkroom up` starts one."""
        if self.redis_url is None:
            raise ConfigError("DARKROOM_REDIS_URL is not set; `darkroom up` starts a Redis of its own and sets it")
        return self.redis_url

    def resolved_broker_url(self) -> str:
        """The Redis that carries Celery's messages, kept apart from the job store so that either can be emptied."""
        return self.broker_url or next_database(self.resolved_redis_url())


def next_database(url: str) -> str:
    """The same server's next database: `redis://host/0` → `redis://host/1`."""
    parts = urlsplit(url)
    number = parts.path.lstrip("/") or "0"
    if not number.isdecimal():
        raise ConfigError("DARKROOM_REDIS_URL does not end in the number of a database, such as /0")
    return urlunsplit(parts._replace(path=f"/{int(number) + 1}"))


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment. Raises ConfigError, one line that names the variable, for a wrong or unknown one."""
    environ = os.environ if environ is None else environ
    _refuse_unknown(environ)
    try:
        return Settings.model_validate(
            {name: environ[env] for name in Settings.model_fields if (env := PREFIX + name.upper()) in environ}
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        value = (
            "…" if "@" in environ[name] or name in SECRETS else repr(environ[name])
        )  # an address may hold a password
        raise ConfigError(f"{name}={value}: {first['msg'].removeprefix('Value error, ')}") from error


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in environ:
        if name.startswith(PREFIX) and name not in known and name not in CLIENT_VARIABLES:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"{name} is not a setting of Darkroom{hint}")
