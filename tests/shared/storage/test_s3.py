"""The variables of S3."""

from __future__ import annotations

import pytest

from shared.storage.s3 import check_variables

NAME = "AWS_ENDPOINT_URL"


@pytest.mark.parametrize("address", ["https://s3.example", "HTTPS://s3.example:443/", "https://[::1]:9000"])
def test_an_address_with_tls(address: str) -> None:
    check_variables({NAME: address})


@pytest.mark.parametrize("yes", ["true", "1", "TRUE"])
def test_an_address_without_tls_must_be_allowed(yes: str) -> None:
    check_variables({NAME: "http://minio:9000", "AWS_ALLOW_HTTP": yes})
    for variables in ({}, {"AWS_ALLOW_HTTP": "false"}):
        with pytest.raises(ValueError, match=f"{NAME}='http://minio:9000' is without TLS"):
            check_variables({NAME: "http://minio:9000", **variables})


@pytest.mark.parametrize(
    "address", ["minio", "minio:9000", "htp://minio:9000", "//minio", "https://", "https://m:90000", "https://a b"]
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match=f"^{NAME}=.* is not like"):
        check_variables({NAME: address, "AWS_ALLOW_HTTP": "true"})


def test_amazons_own_address_needs_no_variable() -> None:
    check_variables({"AWS_ACCESS_KEY_ID": "key"})
