"""Foreign messages in the queue: access to the broker must not allow running code."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import kombu

from shared.domain.entities import Queue
from shared.jobs.messenger import CLASSIFY
from tests.conftest import Service, wait_until
from tests.integration.helpers import finished, png, redis_of, submit


class Harm:
    """An object that creates a file when unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self._file),)


def test_a_pickled_message_is_refused_unread(service: Service, http: httpx.Client, tmp_path: Path) -> None:
    """Given a message that would run code when unpickled, then a worker drops it, logs it, and continues."""
    with redis_of(service) as client:
        own = client.connection_pool.connection_kwargs
    url = f"redis://:{own['password']}@127.0.0.1:{own['port']}/1"
    told = service.log().count("ContentDisallowed")
    with kombu.Connection(url) as broker, broker.Producer(serializer="pickle") as producer:
        header = {"task": CLASSIFY, "id": "1", "lang": "py"}
        for queue in (Queue.INTERACTIVE, Queue.TRAIN):
            producer.publish(((Harm(tmp_path / "harm"),), {}, {}), routing_key=queue, exchange=queue, headers=header)
    wait_until(lambda: service.log().count("ContentDisallowed") >= told + 2, "both workers have refused it")
    assert not (tmp_path / "harm").exists()
    assert finished(http, submit(http, ("a.png", png())))["counts"]["succeeded"] == 1
