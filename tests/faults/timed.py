"""Run a Python program under libfaketime: `python -m tests.faults.timed MODULE ARGUMENTS…`.

Since Python 3.11, `time.sleep` fails under libfaketime 0.9.10 if the monotonic clock is not faked (its issue 426). So
here it waits in another way.
"""

import runpy
import select
import sys
import time


def sleep(seconds: float) -> None:
    """Sleep as `time.sleep` does."""
    select.select([], [], [], seconds)


if __name__ == "__main__":
    time.sleep = sleep
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
