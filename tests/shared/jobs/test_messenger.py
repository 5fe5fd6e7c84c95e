"""Queue messages: each is sent only to its queue, up to a limit."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from kombu.exceptions import OperationalError

from shared.domain.entities import Queue
from shared.jobs.chunks import CHUNK_ITEMS
from shared.jobs.messenger import CLASSIFY, MAX_MESSAGES, Messenger, celery_app
from shared.redis.urls import next_database


@pytest.fixture
def messenger(each_redis, each_redis_url) -> Iterator[Messenger]:
    each_redis.flushall()
    messenger = Messenger(each_redis_url)
    yield messenger
    messenger.close()


@pytest.mark.parametrize("queue", Queue)
def test_a_message_is_sent_only_to_its_queue(messenger: Messenger, each_redis, queue: Queue) -> None:
    assert messenger.wake_workers(queue, 3) == 3
    assert {other: messenger.message_count(other) for other in Queue} == dict.fromkeys(Queue, 0) | {queue: 3}
    lists = {key for key in each_redis.scan_iter() if each_redis.type(key) == "list"}
    assert lists == {queue}
    assert {key for key in each_redis.scan_iter() if not key.startswith("_kombu.binding")} == {queue}


def test_a_message_has_a_task_name_and_no_arguments(messenger: Messenger, each_redis) -> None:
    messenger.wake_workers(Queue.BULK)
    message = json.loads(each_redis.lindex("bulk", 0))
    assert message["headers"]["task"] == CLASSIFY
    assert message["content-type"] == "application/json"
    assert len(each_redis.lindex("bulk", 0)) < 2000


def test_the_number_of_messages_is_limited(messenger: Messenger) -> None:
    assert [messenger.wake_workers(Queue.BULK, count) for count in (5, 0, -3, 1000, 1000, 1)] == [5, 0, 0, 27, 0, 0]
    assert messenger.message_count(Queue.BULK) == MAX_MESSAGES
    assert messenger.wake_workers(Queue.INTERACTIVE, 2) == 2


def test_new_items_need_no_message_if_enough_wait(messenger: Messenger) -> None:
    counts = []
    for items in (1, 1, CHUNK_ITEMS, CHUNK_ITEMS + 1, 1, 1000 * CHUNK_ITEMS):
        messenger.wake_for_items(Queue.BULK, items)
        counts.append(messenger.message_count(Queue.BULK))
    assert counts == [1, 1, 1, 2, 2, MAX_MESSAGES]


def test_consumed_messages_make_room(messenger: Messenger, each_redis) -> None:
    messenger.wake_workers(Queue.BULK, MAX_MESSAGES)
    each_redis.lpop("bulk", 3)
    assert messenger.wake_workers(Queue.BULK, 10) == 3


def test_messages_are_not_in_the_job_stores_database(each_redis, each_redis_url) -> None:
    messenger = Messenger(next_database(each_redis_url))
    messenger.wake_workers(Queue.TRAIN)
    assert list(each_redis.scan_iter()) == []
    messenger.close()


def test_a_misspelt_queue_is_an_error(each_redis, each_redis_url) -> None:
    app = celery_app(each_redis_url)
    with pytest.raises((KeyError, OperationalError, ValueError, TypeError)) as caught:
        app.send_task(CLASSIFY, queue="bluk", retry=False)
    assert "bluk" in str(caught.value)
    assert list(each_redis.scan_iter()) == []
    app.close()
