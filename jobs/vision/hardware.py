"""What a run computes on: device, precision and threads, chosen once and kept over all its attempts."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import torch

BF16_FLAGS = ("amx_bf16", "avx512_bf16")
"""Processor flags with which resnet18 trains about 1.5 times as fast in bfloat16 and channels_last."""


@dataclass(frozen=True)
class Hardware:
    """A resumed attempt with the same choice gives the same bits as one that never stopped."""

    device: Literal["cpu", "cuda"]
    precision: Literal["fp32", "bf16"]
    threads: int
    processes: int = 1
    """That share each batch, see jobs.vision.team."""


def choose(precision: str, workers: int, beside: Path, processes: int = 1) -> Hardware:
    """Read the choice of the first attempt from the file `beside`, or make and keep it.

    `workers` is how many training workers share this machine, `processes` how many a training may have; on GPUs
    each has its own. A run that began on a GPU goes on on the processor where there is none any more.
    """
    device: Literal["cpu", "cuda"] = "cuda" if torch.cuda.is_available() else "cpu"
    if beside.exists():
        kept = Hardware(**json.loads(beside.read_text(encoding="utf-8")))
        if kept.device == device:
            return kept
    if device == "cuda":
        processes = min(processes, torch.cuda.device_count())
    threads = max(cores() // (workers * processes), 1)
    hardware = Hardware(device, _precision(precision, device), threads, processes)
    beside.write_text(json.dumps(asdict(hardware)), encoding="utf-8")
    return hardware


def cores() -> int:
    """Processor cores this process may use, a container's quota counted in."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        allowed = min(allowed, max(int(quota) // int(period), 1))
    except (OSError, ValueError):  # no such file, or "max": no quota
        pass
    return min(allowed, int(os.environ.get("OMP_NUM_THREADS") or allowed))


def _precision(wanted: str, device: str) -> Literal["fp32", "bf16"]:
    if wanted == "auto":
        fast = torch.cuda.is_bf16_supported(False) if device == "cuda" else has_fast_bf16()
        return "bf16" if fast else "fp32"
    return "bf16" if wanted == "bf16" else "fp32"


def has_fast_bf16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return any(flag in flags for flag in BF16_FLAGS)


def versions() -> dict[str, str]:
    """What the bits of a training depend on beside its parameters: the processor's model and the libraries."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
        model = next(
            (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model
        )
    libraries = {
        name: metadata.version(name) for name in ("torch", "torchvision", "pytorch-lightning", "numpy")
    }
    return {"processor": model, "python": platform.python_version(), **libraries}


def name(hardware: Hardware) -> str:
    """The device as people call it."""
    return torch.cuda.get_device_name() if hardware.device == "cuda" else "the processor"


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """On the device. A GPU is not waited for, as it would be until it had computed all it was given before."""
    if device.type != "cuda" or tensor.device == device:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
