"""An S3 service in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

BUCKET = "pictures"
#: Its access, as environment variables.
ACCESS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


@contextmanager
def running_s3() -> Iterator[str]:
    """Run the service with an empty bucket; yield its URL.

    Its packages are imported here: they take a second of each process that collects the tests, and few run these.
    """
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    try:
        boto3.client("s3", endpoint_url=address, **keys).create_bucket(Bucket=BUCKET)
        yield address
    finally:
        server.stop()
