"""Resident memory of the idle app process, and that torch is not in it.

    python -m benchmarks.app_idle

Prints a table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from benchmarks.app_process import running_app
from core.settings import MIB

TARGET_MIB = 350
IDLE_SECONDS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not used; every benchmark takes it")
    parser.parse_args()
    with running_app(lambda _wb, _admin: None) as app:
        app.client.get("/theme/").raise_for_status()
        time.sleep(IDLE_SECONDS)
        maps = Path(f"/proc/{app.process.pid}/maps")
        figures = {
            "benchmark": "app_idle",
            "resident_mib": round(app.process.memory_info().rss / MIB),
            "torch_loaded": "libtorch" in maps.read_text() if maps.exists() else None,
        }
    print(f"{'resident MiB':>12} {'target':>7} {'torch loaded':>13}")
    print(f"{figures['resident_mib']:12} {f'≤ {TARGET_MIB}':>7} {figures['torch_loaded']!s:>13}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
