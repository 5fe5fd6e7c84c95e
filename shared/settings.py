"""Settings: environment variables `DARKROOM_*`, read once at the start of a process."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from shared.access.api_keys import ApiKey, is_loopback, parse_keys
from shared.domain.errors import ConfigError
from shared.redis.urls import check_url, next_database
from shared.webhooks.addresses import AllowList

PREFIX = "DARKROOM_"
#: Variables of the command line and the Python client, which the service ignores.
CLIENT_VARIABLES = {"DARKROOM_URL", "DARKROOM_API_KEY"}
MIB = 1024 * 1024


def _check_storage_url(url: str) -> str:
    """Return `url` if it is that of a store that all machines can share: obstore also takes memory:// and file://."""
    if not re.match("(s3|gs|az)://[^/]", url):
        raise ValueError("is not like s3://bucket/prefix")
    return url


Positive = Annotated[int, Field(gt=0)]
RedisUrl = Annotated[str, AfterValidator(check_url)]
StorageUrl = Annotated[str, AfterValidator(_check_storage_url)]
#: Keys are parsed at once, so that printed settings contain digests only.
ApiKeys = Annotated[
    tuple[ApiKey, ...], BeforeValidator(lambda text: parse_keys(text) if isinstance(text, str) else text)
]
#: Settings whose values are not shown in errors.
SECRETS = {"DARKROOM_API_KEYS"}


def _check_path(text: object) -> object:
    """Raise ValueError for text that `Path` accepts and that no program could use."""
    if not str(text).strip():
        raise ValueError("is empty; unset it for the default")
    try:
        str(text).encode()
    except UnicodeEncodeError as error:
        raise ValueError("is not in UTF-8") from error
    return text


FilePath = Annotated[Path, BeforeValidator(_check_path)]


class Settings(BaseModel):
    """All settings, with defaults and units. `docs/settings.md` has the same table."""

    model_config = ConfigDict(frozen=True)

    host: str = Field("127.0.0.1", min_length=1, description="address of the web server")
    port: int = Field(5000, ge=1, le=65535, description="port of the web server")
    api_keys: ApiKeys | None = Field(
        None, description="API keys in addition to those of `darkroom keys`: name:key[:scopes[:owner]], …"
    )
    allow_keyless: bool = Field(
        False, description="accept requests from other machines without API keys; no effect behind trusted proxies"
    )
    trusted_proxies: int = Field(
        0, ge=0, description="number of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted"
    )
    data_dir: FilePath = Field(Path("var"), description="folder for uploads, the embedded Redis and logs")
    redis_url: RedisUrl | None = Field(None, description="URL of a Redis server; default: the embedded one")
    broker_url: RedisUrl | None = Field(
        None, description="URL of a Redis server for Celery's messages; default: the next database of REDIS_URL"
    )
    redis_max_bytes: int = Field(1024 * MIB, ge=64 * MIB, description="memory limit of the embedded Redis, in bytes")
    redis_fsync: Literal["everysec", "always"] = Field(
        "everysec", description="when the embedded Redis syncs to disk; always: no data is lost in a power failure"
    )
    storage_url: StorageUrl | None = Field(
        None, description="storage for pictures and models, such as s3://bucket/prefix; default: the data folder"
    )
    web_processes: Positive = Field(2, description="number of gunicorn processes")
    web_threads: Positive = Field(160, description="threads, and so concurrent requests, of each web process")
    classify_workers: Positive = Field(2, description="worker processes for all jobs; one more for small jobs")
    model_memory: Positive = Field(
        1024 * MIB, description="memory for the models in each worker process that classifies, in bytes"
    )
    max_file_bytes: Positive = Field(64 * MIB, description="maximum bytes in a picture")
    max_request_bytes: Positive = Field(4096 * MIB, description="maximum bytes in a request or an unpacked archive")
    max_items: Positive = Field(100_000, description="maximum number of pictures in a job")
    max_pixels: Positive = Field(120_000_000, description="maximum width × height of a picture")
    requests_per_hour: Positive = Field(
        100_000, description="quota of requests per API key, or per address without one"
    )
    bytes_per_hour: Positive = Field(32 * 1024 * MIB, description="quota of uploaded bytes per API key")
    items_per_hour: Positive = Field(500_000, description="quota of pictures per API key")
    max_open_jobs: Positive = Field(100, description="maximum unfinished jobs per owner, if API keys are in use")
    retention_hours: Positive = Field(24 * 7, description="hours until a finished job and its pictures are deleted")
    webhook_allow: str | None = Field(
        None, description="private hosts and networks that webhooks may call, separated by commas"
    )
    cifar10: FilePath | None = Field(None, description="path of CIFAR-10 as .npz, to train without a download")

    @field_validator("webhook_allow")
    @classmethod
    def _is_readable(cls, text: str | None) -> str | None:
        AllowList.parse(text or "")
        return text

    @property
    def webhooks_allowed(self) -> AllowList:
        """Return the private addresses that webhooks may call."""
        return AllowList.parse(self.webhook_allow or "")

    @property
    def needs_stored_key(self) -> bool:
        """Return whether the key store must have a key: the service is exposed and the settings have no key."""
        return self.is_exposed_on(self.host) and not self.api_keys

    def is_exposed_on(self, address: str) -> bool:
        """Return whether other machines can reach `address` and there is no other access control.

        Behind a trusted proxy they can, whatever `allow_keyless` says: it is on by default in the Compose file.
        """
        return self.trusted_proxies > 0 or not (self.allow_keyless or is_loopback(address))

    def resolved_redis_url(self) -> str:
        """Return the URL of the job store's Redis. Raises ConfigError if it is not set; only `up` starts one."""
        if self.redis_url is None:
            raise ConfigError("DARKROOM_REDIS_URL is not set; `./darkroom up` starts an embedded Redis and sets it")
        return self.redis_url

    def resolved_broker_url(self) -> str:
        """Return the URL of Celery's Redis, a separate database so that it can be emptied without the job store."""
        return self.broker_url or next_database(self.resolved_redis_url())


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment. Raises ConfigError, a line that names the variable, for a wrong or unknown one."""
    environ = os.environ if environ is None else environ
    _refuse_unknown(environ)
    try:
        return Settings.model_validate(
            {name: environ[env] for name in Settings.model_fields if (env := PREFIX + name.upper()) in environ}
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        is_secret = re.search("@|pass", environ[name]) or name in SECRETS  # a URL may contain a password
        value = "…" if is_secret else repr(environ[name])
        raise ConfigError(f"{name}={value}: {first['msg'].removeprefix('Value error, ')}") from error


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in environ:
        if name.startswith(PREFIX) and name not in known and name not in CLIENT_VARIABLES:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"{name} is not a setting of Darkroom{hint}")
