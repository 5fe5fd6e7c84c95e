"""Messages: each lands in its queue and nowhere else, and there are never more than are needed to wake workers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from kombu.exceptions import OperationalError

from shared.domain.entities import Queue
from shared.jobs.messenger import CLASSIFY, MAX_MESSAGES, Messenger, celery_app
from shared.settings import next_database


@pytest.fixture
def messenger(each_redis, each_redis_url) -> Iterator[Messenger]:
    each_redis.flushall()
    messenger = Messenger(each_redis_url)
    yield messenger
    messenger.close()


@pytest.mark.parametrize("queue", Queue)
def test_a_message_lands_in_its_queue_and_nowhere_else(messenger: Messenger, each_redis, queue: Queue) -> None:
    assert messenger.wake_workers(queue, 3) == 3
    assert {other: messenger.message_count(other) for other in Queue} == dict.fromkeys(Queue, 0) | {queue: 3}
    lists = {key for key in each_redis.scan_iter() if each_redis.type(key) == "list"}
    assert lists == {queue}
    assert {key for key in each_redis.scan_iter() if not key.startswith("_kombu.binding")} == {queue}


def test_a_message_carries_the_tasks_name_and_no_content(messenger: Messenger, each_redis) -> None:
    messenger.wake_workers(Queue.BULK)
    message = json.loads(each_redis.lindex("bulk", 0))
    assert message["headers"]["task"] == CLASSIFY
    assert message["content-type"] == "application/json"
    assert len(each_redis.lindex("bulk", 0)) < 2000


def test_there_are_never_more_messages_than_the_limit(messenger: Messenger) -> None:
    assert [messenger.wake_workers(Queue.BULK, count) for count in (5, 0, -3, 1000, 1000, 1)] == [5, 0, 0, 27, 0, 0]
    assert messenger.message_count(Queue.BULK) == MAX_MESSAGES
    assert messenger.wake_workers(Queue.INTERACTIVE, 2) == 2


def test_room_is_made_by_taking_messages(messenger: Messenger, each_redis) -> None:
    messenger.wake_workers(Queue.BULK, MAX_MESSAGES)
    each_redis.lpop("bulk", 3)
    assert messenger.wake_workers(Queue.BULK, 10) == 3


def test_the_queue_is_apart_from_the_job_store(each_redis, each_redis_url) -> None:
    messenger = Messenger(next_database(each_redis_url))
    messenger.wake_workers(Queue.TRAIN)
    assert list(each_redis.scan_iter()) == []
    messenger.close()


def test_a_misspelt_queue_is_an_error_not_a_queue_that_nobody_reads(each_redis, each_redis_url) -> None:
    app = celery_app(each_redis_url)
    with pytest.raises((KeyError, OperationalError, ValueError, TypeError)) as caught:
        app.send_task(CLASSIFY, queue="bluk", retry=False)
    assert "bluk" in str(caught.value)
    assert list(each_redis.scan_iter()) == []
    app.close()
