"""How busy the machine is while a job runs, under the names that MLflow gives such figures."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil

EVERY_SECONDS = 2.0
PREFIX = "system/"


class Machine:
    """Readings of the processor, the job's memory and the GPU; the first one starts the counting."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._read_at = 0.0
        psutil.cpu_percent()

    def due(self) -> dict[str, float]:
        """The figures since the last reading; {} where that was less than EVERY_SECONDS ago."""
        now = time.monotonic()
        if now - self._read_at < EVERY_SECONDS:
            return {}
        self._read_at = now
        found = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "process_memory_megabytes": self._process.memory_info().rss / 1e6,
        }
        import torch  # a job that computes has it already

        if torch.cuda.is_available():
            free, total = torch.cuda.mem_get_info()
            found["gpu_memory_usage_megabytes"] = (total - free) / 1e6
            with suppress(ModuleNotFoundError, RuntimeError):  # needs NVIDIA's management library
                found["gpu_utilization_percentage"] = float(torch.cuda.utilization())
        return {f"{PREFIX}{name}": round(value, 1) for name, value in found.items()}
