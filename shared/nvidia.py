"""NVIDIA's driver, which the command line and the workers look for."""

from __future__ import annotations

from pathlib import Path

#: The device file that the driver creates. `darkroom`, which imports nothing, has it as well.
DRIVER = Path("/dev/nvidiactl")
