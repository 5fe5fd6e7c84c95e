"""Webhook targets: URLs, the addresses of their hosts, and DARKROOM_WEBHOOK_ALLOW."""

from __future__ import annotations

import threading
from ipaddress import ip_address

import pytest

from shared.domain.errors import ConfigError, DeliveryError
from shared.settings import load_settings
from shared.webhooks.addresses import AllowList, is_public
from shared.webhooks.resolver import Resolver, system_lookup
from shared.webhooks.target import MAX_URL, check, parse

PUBLIC = "93.184.215.14"
STRICT = Resolver(AllowList())


def resolver(*addresses: str, allow: str = "") -> Resolver:
    """Return a resolver for which each name has these addresses."""
    return Resolver(AllowList.parse(allow), lambda _host, _port: list(addresses))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.0.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "100.127.255.255", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1"),
        *("203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
        *("::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"),
        *("fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "3fff::1", "100::1", "4000::1"),
        *("64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    ],
)
def test_forbidden_addresses(address: str) -> None:
    assert not is_public(ip_address(address))
    assert AllowList().first_forbidden("x.example", [PUBLIC, address]) == address


@pytest.mark.parametrize(
    "address", [PUBLIC, "1.1.1.1", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.1", "0", "localhost", "LOCALHOST"),
        *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "[fe80::1]"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_spelling_of_a_local_address_is_refused(scheme: str, host: str) -> None:
    with pytest.raises(ValueError, match="an address that is not public"):
        check(f"{scheme}://{host}:8080/hook", STRICT)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "not a URL"),
        ("hook", "https:// or http://"),
        ("//receiver.example/", "https:// or http://"),
        ("ftp://receiver.example/", "https:// or http://"),
        ("file:///etc/passwd", "https:// or http://"),
        ("gopher://receiver.example/", "https:// or http://"),
        ("http://", "host name"),
        ("http:///hook", "host name"),
        ("http://:80/", "host name"),
        ("http://-.exa%6dple/", "host name"),
        ("https://user:secret@receiver.example/", "user name or password"),
        ("https://public.example@127.0.0.1/", "user name or password"),
        ("http://receiver.example:0/", "1 to 65535"),
        ("http://receiver.example:99999/", "1 to 65535"),
        ("http://receiver.example:x/", "1 to 65535"),
        ("http://[::1/", "brackets"),
        ("http://[fe80::1%25eth0]/", "brackets"),
        ("http://[::1]x/", "brackets"),
        ("http://[v1.a]/", "brackets"),
        ("http://[1:2]/", "brackets"),
        ("http://receiver.example/a b", "characters"),
        ("http://receiver.example\\@127.0.0.1/", "characters"),
        ("http://receiver.example/\r\nX-Evil: 1", "characters"),
        ("http://reçeiver.example/", "characters"),
        ("http://receiver.example/#part", "fragment"),
        (f"http://receiver.example/{'x' * MAX_URL}", f"{MAX_URL} characters"),
    ],
)
def test_invalid_urls_are_refused(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check(url, resolver(PUBLIC))


def test_parts_of_a_url() -> None:
    target = parse("https://Receiver.Example/hook?a=%20b&c")
    assert (target.host, target.port, target.path) == ("receiver.example", 443, "/hook?a=%20b&c")
    assert (target.receiver, target.authority) == ("receiver.example:443", "receiver.example")
    target = parse("http://[2606:4700:0::1]:8080")
    assert (target.host, target.path, target.authority) == ("2606:4700::1", "/", "[2606:4700::1]:8080")
    assert parse("http://receiver.example:80/") == parse("http://receiver.example:80/")
    assert parse("http://receiver.example:443/").authority == "receiver.example:443"


def test_a_host_with_one_private_address_is_refused() -> None:
    with pytest.raises(ValueError, match="DARKROOM_WEBHOOK_ALLOW"):
        check("https://receiver.example/", resolver(PUBLIC, "10.0.0.1"))


def test_a_refusal_does_not_disclose_the_address() -> None:
    with pytest.raises(DeliveryError) as caught:
        resolver("10.11.12.13").addresses("intranet", 80, 1)
    assert caught.value.code == "forbidden_address" and "10.11" not in str(caught.value)


def test_an_unresolvable_name_is_accepted_but_not_called() -> None:
    for host in ("no-such-host.invalid", f"{'x' * 64}.example", "a..b"):
        assert check(f"https://{host}/", STRICT).host == host
        with pytest.raises(DeliveryError) as caught:
            STRICT.addresses(host, 443, 20)
        assert caught.value.code == "unresolved"


def test_lookups_time_out() -> None:
    """Given a dead name server and more lookups than allowed, Then each fails after its timeout or at once."""
    over = threading.Event()
    slow = Resolver(AllowList(), lambda _host, _port: [PUBLIC] if over.wait(30) else [])
    for _ in range(70):
        with pytest.raises(DeliveryError, match="no address"):
            slow.addresses("receiver.example", 443, 0.001)
    over.set()


def test_allowed_networks_addresses_and_names() -> None:
    allow = "10.1.0.0/16, 192.168.0.7,fd00::/8, Receiver.internal"
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "192.168.0.7", "fd00::1"):
        assert resolver(address, allow=allow).addresses("any.example", 80, 1) == [address]
    for address in ("10.2.0.1", "192.168.0.8", "127.0.0.1"):
        with pytest.raises(DeliveryError):
            resolver(address, allow=allow).addresses("any.example", 80, 1)
        assert resolver(address, allow=allow).addresses("receiver.internal", 80, 1) == [address]
    assert system_lookup("127.0.0.1", 80) == ["127.0.0.1"]


@pytest.mark.parametrize("word", ["10.1.0.1/16", "10.0.0.0/33", "fd00::/200", "http://receiver/", "a b", "*"])
def test_an_invalid_setting_stops_the_start(word: str) -> None:
    with pytest.raises(ConfigError, match="DARKROOM_WEBHOOK_ALLOW"):
        load_settings({"DARKROOM_WEBHOOK_ALLOW": f"10.0.0.0/8,{word}"})
