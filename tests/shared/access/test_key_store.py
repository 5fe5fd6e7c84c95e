"""API keys in settings and in Redis, and the check before the start."""

from __future__ import annotations

import pytest

from shared.access.api_keys import LOCAL_ADMIN, SUPPLIED_KEY_PATTERN, ApiKey, Scope, digest_of, new_key, parse_keys
from shared.access.key_store import KeyStore
from shared.domain.errors import ConfigError, Conflict, NotFound
from shared.redis.connection import Client, connect
from shared.settings import Settings, load_settings
from shared.startup import check_binding

KEY = "k" * 40
BOTH = frozenset({Scope.SUBMIT, Scope.TRAIN})


def test_settings_hold_digests_of_keys_with_scopes_and_owners() -> None:
    settings = load_settings({"DARKROOM_API_KEYS": f"ann:{KEY}, bob:{KEY}2:submit+train:team\n ops:{KEY}3:admin"})
    assert settings.api_keys == (
        ApiKey("ann", "ann", frozenset({Scope.SUBMIT}), digest_of(KEY)),
        ApiKey("bob", "team", BOTH, digest_of(f"{KEY}2")),
        ApiKey("ops", "ops", frozenset({Scope.ADMIN}), digest_of(f"{KEY}3")),
    )
    assert KEY not in repr(settings)


@pytest.mark.parametrize(
    "text",
    ["", " , ", "ann", f"ann:{KEY}:", "ann:short", f"Ann:{KEY}", f":{KEY}", f"ann:{KEY}:root", f"ann:{KEY}:submit:a:b",
     f"ann:{KEY}:submit:A", f"ann:{KEY} ann:{KEY}2", f"ann:{KEY}é"],
)  # fmt: skip
def test_an_invalid_list_of_keys_is_an_error_without_a_key(text: str) -> None:
    if text == f"ann:{KEY}:":
        assert parse_keys(text) == parse_keys(f"ann:{KEY}")
        return
    with pytest.raises(ConfigError) as caught:
        load_settings({"DARKROOM_API_KEYS": text})
    assert str(caught.value).startswith("DARKROOM_API_KEYS=…: ")
    assert KEY not in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_scopes_and_visible_owner_of_a_key() -> None:
    ann = ApiKey("a", "ann", frozenset({Scope.TRAIN}), "")
    assert [ann.has_scope(scope) for scope in Scope] == [False, True, False]
    assert ann.visible_owner == "ann"
    assert all(LOCAL_ADMIN.has_scope(scope) for scope in Scope) and LOCAL_ADMIN.visible_owner is None


def test_a_key_is_created_stored_as_a_digest_and_revoked(each_redis: Client) -> None:
    store = KeyStore(each_redis)
    key = store.create("bob", "team", BOTH)
    assert SUPPLIED_KEY_PATTERN.fullmatch(key) and len({new_key(), key}) == 2
    with pytest.raises(Conflict):
        store.create("bob", "bob", BOTH)
    (kept,) = store.all()
    assert (kept.name, kept.owner, kept.scopes, kept.digest) == ("bob", "team", BOTH, digest_of(key))
    assert kept.created_at is not None
    assert key not in str(each_redis.hgetall("darkroom:api-keys"))
    store.revoke("bob")
    assert store.all() == []
    with pytest.raises(NotFound):
        store.revoke("bob")


def test_all_processes_sign_with_the_same_secret(each_redis: Client) -> None:
    secret = KeyStore(each_redis).secret()
    assert len(secret) == 64 and KeyStore(each_redis).secret() == secret
    each_redis.flushall()
    assert KeyStore(each_redis).secret() != secret


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "darkroom.example"])
def test_an_exposed_service_needs_a_key(each_redis: Client, host: str) -> None:
    store = KeyStore(each_redis)
    with pytest.raises(ConfigError, match="darkroom keys create") as caught:
        check_binding(Settings(host=host), store)
    assert host in str(caught.value) and len(str(caught.value).splitlines()) == 1
    check_binding(Settings(host=host, allow_keyless=True), store)
    check_binding(Settings(host=host, api_keys=parse_keys(f"ann:{KEY}")), store)
    check_binding(Settings(host=host), KeyStore(connect("redis://127.0.0.1:1/0")))  # refuses all requests
    store.create("ann", "ann", BOTH)
    check_binding(Settings(host=host), store)


def test_a_service_behind_a_proxy_is_exposed(each_redis: Client) -> None:
    with pytest.raises(ConfigError, match="through a proxy"):
        check_binding(Settings(trusted_proxies=1), KeyStore(each_redis))
    with pytest.raises(ConfigError, match="through a proxy"):
        check_binding(Settings(trusted_proxies=1, allow_keyless=True), KeyStore(each_redis))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_the_loopback_address_needs_no_key(each_redis: Client, host: str) -> None:
    check_binding(Settings(host=host), KeyStore(each_redis))
