"""Time to refresh a chart of 100,000 measured points from eight runs, from the database to Plotly's JSON.

    .venv/bin/python -m benchmarks.charts [--points 100000] [--runs 8]

DuckDB in a temporary folder; the median of ten refreshes. Prints a table; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from core import run_reports
from core.db.engine import bulk_insert
from core.db.tables import run_metrics
from core.settings import Settings
from core.workbench import Workbench
from pages.widgets import charts

WANTED_MS = 200
MOST_POINTS = 1_000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--points", type=int, default=100_000)
    arguments.add_argument("--runs", type=int, default=8)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="veritrain-bench-") as temporary:
        folder = Path(temporary)
        settings = Settings.from_env(
            {"VERITRAIN_DATA_DIR": str(folder / "data"), "VERITRAIN_ARTIFACTS_DIR": str(folder / "artifacts")}
        )
        wb = Workbench.open(settings)
        random = np.random.default_rng(0)
        now = datetime.now(UTC)
        each = given.points // given.runs
        for run in range(1, given.runs + 1):
            values = random.random(each).tolist()
            rows = [
                {
                    "run_id": run,
                    "number": n,
                    "name": "train_loss",
                    "step": n,
                    "epoch": n / 100,
                    "value": value,
                    "at": now,
                }
                for n, value in enumerate(values, 1)
            ]
            wb.db.write(lambda connection, rows=rows: bulk_insert(connection, run_metrics, rows))
        took, drawn = [], 0
        for _ in range(10):
            start = time.perf_counter()
            series = {
                f"run {run}": run_reports.metrics(wb, run)["train_loss"] for run in range(1, given.runs + 1)
            }
            text = charts.lines("Loss", series).to_json()
            took.append((time.perf_counter() - start) * 1000)
            drawn = max(len(points) for points in series.values())
        wb.close()
    median = statistics.median(took)
    print(
        f"refresh of {given.points:,} points, {given.runs} runs: {median:.0f} ms (wanted: at most {WANTED_MS})"
    )
    print(
        f"drawn a series: {drawn} points (at most {MOST_POINTS}); {len(text or '') // 1000} kB to the browser"
    )
    ok = median <= WANTED_MS and drawn <= MOST_POINTS
    told = {
        "benchmark": "charts",
        "median_ms": round(median),
        "drawn": drawn,
        "target_ms": WANTED_MS,
        "ok": ok,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
