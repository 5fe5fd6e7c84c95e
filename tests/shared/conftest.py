"""A job store on each kind of Redis server in turn."""

import pytest

from tests.shared.kit import Kit


@pytest.fixture
def kit(each_redis) -> Kit:
    return Kit(each_redis)
