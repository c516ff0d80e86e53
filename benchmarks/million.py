"""Milliseconds of the grid's questions to the server at 1,000,000 images: first pages, positions, counts.

    python -m benchmarks.million

Prints a table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from benchmarks.app_process import App, running_app
from benchmarks.many_images import fill
from core import auth
from core.workbench import Workbench

IMAGES = 1_000_000
TARGET_MS = 50
REPEATS = 30
WARM_UP = 3

FIRST_PAGES = {
    "newest": "",
    "unlabelled": "state=unlabelled",
    "one label, one split": "label={label}&split=train",
    "suggested, sure": "state=unlabelled&suggested={label}&confidence_from=0.95",
    "by person and day": "by={user}&since=2020-01-01",
    "file name": "name=batch 77",
}
POSITIONS = {
    "newest": "",
    "unlabelled": "state=unlabelled",
    "least certain first": "state=unlabelled&sort=uncertain",
    "file name order": "sort=name",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="not needed here; the rows are made")
    parser.parse_args()
    figures: dict[str, object] = {"benchmark": "million", "images": IMAGES}
    with running_app(prepare) as app:
        theme, label, user = app.prepared
        print(f"{'what':44} {'p50 ms':>7} {'p95 ms':>7} {'target':>7}")
        pages = [
            report(
                app,
                f"first page: {name}",
                f"/theme/{theme}/images/?limit=100&{query.format(label=label, user=user)}",
            )
            for name, query in FIRST_PAGES.items()
        ]
        counts = report(app, "counts by label × split (with what changed)", f"/theme/{theme}/label/changes/")
        rows = ",".join(str(n) for n in range(500_000, 500_100))
        middle = report(app, "100 rows from the middle", f"/theme/{theme}/images/rows/?ids={rows}")
        positions = [
            report(app, f"all positions: {name}", f"/theme/{theme}/images/ids/?{query}", target=None)
            for name, query in POSITIONS.items()
        ]
    figures |= {
        "first_page_p95_ms": max(pages),
        "counts_p95_ms": counts,
        "rows_p95_ms": middle,
        "positions_p95_ms": max(positions),
    }
    print(json.dumps(figures))


def prepare(wb: Workbench, admin: auth.User) -> tuple[int, int, int]:
    theme, _ = fill(wb, admin, IMAGES)
    return theme.id, theme.labels[3].id, admin.id


def report(app: App[tuple[int, int, int]], name: str, path: str, target: int | None = TARGET_MS) -> float:
    """Ask REPEATS times and print; returns the 95th percentile in ms."""
    times = []
    for number in range(WARM_UP + REPEATS):
        began = time.perf_counter()
        app.client.get(path).raise_for_status()
        if number >= WARM_UP:
            times.append((time.perf_counter() - began) * 1000)
    p50, p95 = np.percentile(times, [50, 95])
    print(f"{name:44} {p50:7.1f} {p95:7.1f} {f'≤ {target}' if target else '–':>7}")
    return round(float(p95), 1)


if __name__ == "__main__":
    main()
