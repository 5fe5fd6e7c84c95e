"""The address that a command asks, and the port that the service listens on."""

from __future__ import annotations

import pytest

from cli.address import is_loopback, local_url, url_from
from cli.stack.ports import check_port, port_warning
from shared.domain.errors import ConfigError


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://127.0.0.1:5000"),
        ({"DARKROOM_PORT": "5001"}, "http://127.0.0.1:5001"),
        ({"DARKROOM_PORT": "", "DARKROOM_HOST": "", "DARKROOM_URL": ""}, "http://127.0.0.1:5000"),
        ({"DARKROOM_PORT": "5001", "DARKROOM_HOST": "0.0.0.0"}, "http://127.0.0.1:5001"),
        ({"DARKROOM_PORT": "5001", "DARKROOM_HOST": "192.168.1.5"}, "http://192.168.1.5:5001"),
        ({"DARKROOM_HOST": "::1"}, "http://[::1]:5000"),
        ({"DARKROOM_PORT": "5001", "DARKROOM_URL": "https://darkroom.example"}, "https://darkroom.example"),
    ],
)
def test_without_a_url_the_address_of_up_is_used(environ: dict[str, str], url: str) -> None:
    assert url_from(environ) == url


def test_clients_reach_a_service_on_all_addresses_at_loopback() -> None:
    assert local_url("::", 5000) == local_url("0.0.0.0", 5000) == "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    ("host", "is_it"),
    [
        *((host, True) for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost", "a.localhost")),
        *((host, False) for host in ("10.0.0.1", "darkroom.example", "localhost.example", "")),
    ],
)
def test_loopback(host: str, is_it: bool) -> None:
    assert is_loopback(host) is is_it


@pytest.mark.parametrize("port", [1, 25, 993, 5060, 5061, 6000, 6566, 6665, 6669, 6697, 10080])
def test_a_port_that_browsers_block_is_said(port: int) -> None:
    assert f"port {port}" in (port_warning(port) or "")


@pytest.mark.parametrize("port", [18, 24, 80, 443, 5000, 5001, 6664, 6670, 8080])
def test_other_ports_give_no_warning(port: int) -> None:
    assert port_warning(port) is None


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "a" * 70, "é..é"])
def test_an_address_that_this_machine_does_not_have_is_named(host: str) -> None:
    with pytest.raises(ConfigError, match="cannot listen on") as caught:
        check_port(host, 5000)
    assert len(str(caught.value).splitlines()) == 1
