"""URLs of Redis: judged before anything connects, and read alike by redis-py and kombu."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils.url import parse_url

from shared.redis.urls import PrimaryUrl, check_url, for_celery, next_database, primary

SPECIAL = "#/?;[]@:% \\\"'é"


def password_of(url: str) -> tuple[str | None, str | None]:
    """Return the password as redis-py and as kombu read it."""
    return redis.ConnectionPool.from_url(url).connection_kwargs.get("password"), parse_url(url)["password"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("localhost:6379", "is not like redis://"),
        ("http://host/0", "is not like redis://"),
        ("unix:///run/redis.sock", "not supported"),
        ("redis+sentinel://host:26379/0", "or sentinel://:PASSWORD@host1"),
        ("sentinel://host:26379/0", "must have the option ?master=NAME"),
        ("sentinel://host:26379/0?master=", "must have the option ?master=NAME"),
        ("sentinel://host:26379/0?master=m&ssl_cert_reqs=none", "needs TLS"),
        ("sentinels://host:26379/0?master=m&ssl_cert_reqs=no", "required or optional or none"),
        ("sentinels://host:26379/0?master=m&ssl_ca_certs=/missing/ca.pem", "No such file"),
        ("sentinel://host:26379/0?master=m&password=a", "unknown option 'password'"),
        ("sentinel://host:26379/0?master=m&sentinel_password=a+b", "escape special characters"),
        ("sentinel://host:26379/0?master=m&sentinel_password=a;b", "%3B for ;"),
        ("sentinel://host:26379/a?master=m", "number of a database"),
        ("sentinel://host:26379,other:port/0?master=m", "is not like sentinel://"),
        ("sentinel://host:26379,/0?master=m", "is not like sentinel://"),
        ("sentinel://host:26379,[::1]:26379/0?master=m", "is not like sentinel://"),
        ("sentinel://:a?b@host/0?master=m", "%3F for"),
        ("sentinel://:1/2@host/0?master=m", "%2F for /"),
        ("redis://host/0?master=m", "unknown option 'master'"),
        ("redis://host:port/0", "is not like redis://"),
        ("redis://host:99999/0", "is not like redis://"),
        ("redis://host /0", "is not like redis://"),
        ("redis://host/abc", "number of a database"),
        ("redis://host/-1", "number of a database"),
        ("redis://host/0/1", "number of a database"),
        ("redis://host/²", "number of a database"),
        ("redis://:p@ss/w#rd@host/0", "%23 for #"),
        ("redis://:1/2@host/0", "%2F for /"),
        ("redis://:a?b@host/0", "%3F for"),
        ("redis://:a;b@host/0", "%3B for ;"),
        ("redis://:a[b@host/0", "%5B for"),
        ("redis://host?db=1", "at the end of the path"),
        ("redis://host/0?db=1", "at the end of the path"),
        ("redis://host/0?health_check_interval=2", "unknown option 'health_check_interval'"),
        ("redis://host/0?ssl_cert_reqs=none", "needs TLS"),
        ("rediss://host/0?ssl_cert_reqs=CERT_NONE", "required or optional or none"),
        ("rediss://host/0?ssl_check_hostname=", "true or false"),
        ("rediss://host/0?ssl_ca_certs=ca.pem", "an absolute path"),
        ("rediss://host/0?ssl_ca_certs=/missing/ca.pem", "No such file"),
        ("rediss://host/0?ssl_keyfile=/missing/key.pem", "No such file"),
    ],
)
def test_what_the_clients_would_guess_is_an_error(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        check_url(url)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_without_a_certificate_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("hello")
    with pytest.raises(ValueError, match="no certificate in this file"):
        check_url(f"rediss://host/0?ssl_ca_certs={tmp_path / 'ca.pem'}")


@pytest.mark.parametrize(
    "url",
    [
        "redis://host",
        "redis://host/",
        "redis://user:pass@[::1]:6380/15",
        "redis://:p@ss:word!@host/0",
        "rediss://host/2?ssl_cert_reqs=none&ssl_check_hostname=false",
        "sentinel://user:pass@10.0.0.1:1,redis-2.example/15?master=a.B-1_",
        "sentinels://:pass@host/0?sentinel_password=a%2Bb&master=m&ssl_check_hostname=false",
    ],
)
def test_what_both_clients_read_is_accepted(url: str) -> None:
    assert check_url(url) == url


@given(st.text(st.sampled_from(SPECIAL + "a1"), min_size=1))
def test_an_escaped_password_is_read_by_both_clients(password: str) -> None:
    url = check_url(f"redis://:{quote(password, safe='')}@host/0")
    assert password_of(url) == (password, password)


@given(st.text(st.sampled_from(SPECIAL + "a1"), min_size=1))
def test_an_unescaped_password_is_refused_or_read_alike(password: str) -> None:
    try:
        url = check_url(f"redis://:{password}@host/0")
    except ValueError:
        return
    ours, celerys = password_of(url)
    assert ours == celerys


@pytest.mark.parametrize(
    ("url", "following"),
    [
        ("redis://host", "redis://host/1"),
        ("redis://host/", "redis://host/1"),
        ("redis://:p%40ss@host:6380/9", "redis://:p%40ss@host:6380/10"),
        ("rediss://host/2?ssl_cert_reqs=none", "rediss://host/3?ssl_cert_reqs=none"),
        ("sentinel://:p@a:1,b:2/4?master=m.1", "sentinel://:p@a:1,b:2/5?master=m.1"),
        ("sentinels://a,b:2/4?master=m.1", "sentinels://a,b:2/5?master=m.1"),
    ],
)
def test_the_next_database(url: str, following: str) -> None:
    assert next_database(url) == following


@pytest.mark.parametrize(
    ("url", "celerys"),
    [
        ("redis://:p%40ss@host/1", "redis://:p%40ss@host/1"),
        ("rediss://host/1", "rediss://host/1?ssl_cert_reqs=required"),
        ("rediss://host/1?ssl_cert_reqs=none", "rediss://host/1?ssl_cert_reqs=none"),
        (
            "rediss://host/1?ssl_ca_certs=%2Fa%20b.pem",
            "rediss://host/1?ssl_ca_certs=%2Fa+b.pem&ssl_cert_reqs=required",
        ),
        ("sentinel://u:p%3Ba@a,b:2/1?master=m", "sentinel://u:p%3Ba@a/1;sentinel://u:p%3Ba@b:2/1"),
        ("sentinels://a,b:2/1?master=m&sentinel_password=s", "sentinel://a/1;sentinel://b:2/1"),
    ],
)
def test_celery_verifies_certificates_as_redis_py_does(url: str, celerys: str) -> None:
    assert for_celery(url) == celerys


@given(st.text(st.sampled_from(SPECIAL + "a=,"), min_size=1))
def test_the_url_of_sentinels_is_read_by_both_clients(password: str) -> None:
    url = check_url(f"sentinel://ann:{quote(password, safe='')}@a:1,b/3?master=m.1")
    assert primary(url) == PrimaryUrl((("a", 1), ("b", 26379)), "m.1", 3, "ann", password)
    read = [parse_url(one) for one in for_celery(url).split(";")]
    assert [(one["hostname"], one["port"], one["virtual_host"]) for one in read] == [("a", 1, "3"), ("b", None, "3")]
    assert {(one["userid"], one["password"]) for one in read} == {("ann", password)}


@given(st.text(st.sampled_from(SPECIAL + "a=,+&"), min_size=1))
def test_the_sentinels_own_login_and_tls_are_read(password: str) -> None:
    own = f"sentinel_username=bob&sentinel_password={quote(password, safe='')}"
    url = check_url(f"sentinels://a/0?{own}&master=m&ssl_cert_reqs=none")
    assert primary(url) == PrimaryUrl((("a", 26379),), "m", 0, None, None, "bob", password, {"ssl_cert_reqs": "none"})


def test_the_url_of_a_server_names_no_primary() -> None:
    assert primary("redis://host/0") is None
