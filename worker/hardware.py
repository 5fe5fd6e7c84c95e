"""What this machine computes with, as far as it decides how a network is trained."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

#: Where Linux describes its processors.
CPUINFO = Path("/proc/cpuinfo")

#: The processor's flag, as Linux names it, of instructions with which bfloat16 pays. AVX512-BF16 alone is not enough:
#: on two cores that have it without AMX, a step of preset `fast` on 500 images took 5.3 s of processor time in bfloat16
#: and 3.2 s in float32, one of `classic` on 128 images 0.60 s and 0.37 s, and every convolution was slower by itself.
BFLOAT16_FLAG = "amx_bf16"

#: CUDA compute capability from which a GPU multiplies bfloat16 (Ampere).
BFLOAT16_CAPABILITY = (8, 0)


#: What there is where the driver of an NVIDIA GPU is loaded; and the build of TensorFlow that uses none.
GPU_DEVICE, WITHOUT_GPU = Path("/dev/nvidiactl"), "tensorflow-cpu"


def may_have_gpu() -> bool:
    """Return whether TensorFlow might find a GPU, without loading it."""
    return GPU_DEVICE.exists() and not _installed(WITHOUT_GPU)


def on_accelerator() -> bool:
    """Return whether Keras computes on a GPU or TPU, where XLA pays; on a CPU it made steps slower."""
    import keras  # noqa: PLC0415 - whoever lists presets need not wait for TensorFlow

    return any(not name.lower().startswith("cpu") for name in keras.distribution.list_devices())


def precision(wanted: str, cpuinfo: Path = CPUINFO) -> str:
    """Return Keras's name of the arithmetic: `mixed_bfloat16` or `float32`.

    `wanted` is `float32`, `bfloat16`, or `auto`: bfloat16 where this machine multiplies it fast.
    """
    fast = wanted == "bfloat16" or (wanted == "auto" and has_bfloat16(cpuinfo))
    return "mixed_bfloat16" if fast else "float32"


def has_bfloat16(cpuinfo: Path = CPUINFO) -> bool:
    """Return whether the GPU, or else the processor, multiplies bfloat16 faster than float32."""
    gpu = _gpu()
    if gpu is not None:
        return tuple(gpu.get("compute_capability", (0, 0))) >= BFLOAT16_CAPABILITY
    return BFLOAT16_FLAG in _cpu_field("flags", cpuinfo).split()


def gpu_name() -> str | None:
    """Return the model name of the first GPU, None where there is none."""
    gpu = _gpu()
    return None if gpu is None else str(gpu.get("device_name", "unknown"))


def cpu_name(cpuinfo: Path = CPUINFO) -> str:
    """Return the processor's model name as the operating system gives it."""
    return _cpu_field("model name", cpuinfo) or platform.processor() or platform.machine()


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _installed(package: str) -> bool:
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False


def _gpu() -> dict[str, Any] | None:
    import tensorflow as tf  # noqa: PLC0415 - as above

    gpus = tf.config.list_physical_devices("GPU")
    return dict(tf.config.experimental.get_device_details(gpus[0])) if gpus else None


def _cpu_field(name: str, cpuinfo: Path) -> str:
    """Return the first value of a field of `cpuinfo`, "" where there is none, as outside of Linux."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() == name), "")
