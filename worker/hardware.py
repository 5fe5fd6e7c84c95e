"""Detection of the CPU and GPU features that decide how a network is trained and served.

`python -m worker.hardware` prints the GPU's model name, or exits with 1 if TensorFlow finds none.
"""

from __future__ import annotations

import math
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from shared.nvidia import DRIVER

#: Linux's description of the CPU.
CPUINFO = Path("/proc/cpuinfo")
#: The limit of a container: microseconds of processor time (or `max`) in each period, and the period's microseconds.
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")

#: The CPU flag (as Linux names it) with which bfloat16 is faster than float32. AVX512-BF16 alone is not enough: on two
#: cores with it but without AMX, a step of preset `fast` on 500 images took 5.3 s of CPU time in bfloat16 and 3.2 s in
#: float32, one of `classic` on 128 images 0.60 s and 0.37 s, and each convolution was slower.
BFLOAT16_FLAG = "amx_bf16"

#: Lowest CUDA compute capability with bfloat16 arithmetic (Ampere).
BFLOAT16_CAPABILITY = (8, 0)

#: The TensorFlow build without GPU support.
WITHOUT_GPU = "tensorflow-cpu"


def may_have_gpu() -> bool:
    """Return whether TensorFlow might find a GPU, without loading it."""
    return DRIVER.exists() and not _installed(WITHOUT_GPU)


def on_accelerator() -> bool:
    """Return whether Keras runs on a GPU or TPU, where XLA is worth it; on a CPU XLA made steps slower."""
    import keras  # noqa: PLC0415 - listing presets must not load TensorFlow

    return any(not name.lower().startswith("cpu") for name in keras.distribution.list_devices())


def precision(wanted: str, cpuinfo: Path = CPUINFO) -> str:
    """Return Keras's dtype policy, `mixed_bfloat16` or `float32`.

    `wanted` is `float32`, `bfloat16` or `auto`, which means bfloat16 if it is faster on this machine.
    """
    fast = wanted == "bfloat16" or (wanted == "auto" and has_bfloat16(cpuinfo))
    return "mixed_bfloat16" if fast else "float32"


def has_bfloat16(cpuinfo: Path = CPUINFO) -> bool:
    """Return whether bfloat16 is faster than float32 on the GPU, or on the CPU if there is no GPU."""
    gpu = _gpu()
    if gpu is not None:
        return tuple(gpu.get("compute_capability", (0, 0))) >= BFLOAT16_CAPABILITY
    return BFLOAT16_FLAG in _cpu_field("flags", cpuinfo).split()


def gpu_name() -> str | None:
    """Return the model name of the first GPU, or None."""
    gpu = _gpu()
    return None if gpu is None else str(gpu.get("device_name", "unknown"))


def cpu_name(cpuinfo: Path = CPUINFO) -> str:
    """Return the CPU's model name according to the operating system."""
    return _cpu_field("model name", cpuinfo) or platform.processor() or platform.machine()


def cores(cpu_max: Path = CPU_MAX) -> int:
    """Return the number of cores that this process may use, at most the limit of its container, rounded up."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        time, period = cpu_max.read_text().split()
        return min(usable, math.ceil(int(time) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):  # no limit, another system, or a kernel without this file
        return usable


def _installed(package: str) -> bool:
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False


def _gpu() -> dict[str, Any] | None:
    if _installed(WITHOUT_GPU):
        return None
    import tensorflow as tf  # noqa: PLC0415 - as above

    gpus = tf.config.list_physical_devices("GPU")
    return dict(tf.config.experimental.get_device_details(gpus[0])) if gpus else None


def _cpu_field(name: str, cpuinfo: Path) -> str:
    """Return the first value of a field of `cpuinfo`, or "" (always on other systems than Linux)."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() == name), "")


if __name__ == "__main__":
    found = gpu_name()
    print(found or "")
    sys.exit(found is None)
