"""How fast a worker process works."""

from __future__ import annotations

from worker.classify.pace import WINDOW_S, Pace


def test_only_the_last_minute_counts() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    assert pace.per_s() == 0
    pace.add(30)
    now = WINDOW_S - 1
    assert pace.per_s() == 0.5
    pace.add(90)
    assert pace.per_s() == 2
    now = WINDOW_S
    assert pace.per_s() == 1.5
    pace.add(60)
    assert pace.per_s() == 2.5
    now = 3 * WINDOW_S
    assert pace.per_s() == 0
