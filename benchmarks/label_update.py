"""Milliseconds until a label is on disk: POST label/update of 1 and of 200 images at 100,000 in the theme.

    python -m benchmarks.label_update

Prints a table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import time
from datetime import UTC, datetime

import numpy as np

from benchmarks.app_process import App, running_app
from core import auth, themes
from core.db.engine import bulk_insert, next_ids
from core.db.tables import train_data
from core.workbench import Workbench

IMAGES = 100_000
LABELS = 10
WARM_UP = 20
CASES = {1: (300, 30), 200: (150, 80)}
"""Images of one request: (requests, target for the 95th percentile in ms)."""

Prepared = tuple[int, list[int], list[int]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="not needed here; the rows are made")
    parser.parse_args()
    figures: dict[str, object] = {"benchmark": "label_update", "images": IMAGES}
    with running_app(prepare) as app:
        print(f"{'images':>7} {'requests':>9} {'p50 ms':>7} {'p95 ms':>7} {'max ms':>7} {'target':>7}")
        for count, (requests, target) in CASES.items():
            times = measure(app, count, requests)
            p50, p95 = np.percentile(times, [50, 95])
            print(f"{count:7} {requests:9} {p50:7.1f} {p95:7.1f} {max(times):7.1f} {'≤ ' + str(target):>7}")
            figures |= {f"p50_ms_{count}": round(p50, 1), f"p95_ms_{count}": round(p95, 1)}
    print(json.dumps(figures))


def prepare(wb: Workbench, admin: auth.User) -> Prepared:
    """A theme with IMAGES rows, half of them labelled."""
    theme = themes.create(wb, admin, name="Labels", labels=[f"label {n}" for n in range(LABELS)])
    now = datetime.now(UTC)
    label_ids = [label.id for label in theme.labels]

    def rows(ids: list[int]) -> list[dict[str, object]]:
        hashes = [hashlib.sha256(str(image_id).encode()).hexdigest() for image_id in ids]
        return [
            {
                "id": image_id,
                "theme_id": theme.id,
                "image_path": f"images/{digest[:2]}/{digest}.jpg",
                "file_name": f"{image_id}.jpg",
                "sha256": digest,
                "phash": digest[:16],
                "format": "JPEG",
                "width": 32,
                "height": 32,
                "size": 1000,
                "label_id": label_ids[image_id % LABELS] if image_id % 2 else None,
                "uploaded_by": admin.id,
                "created_at": now,
                "updated_at": now,
            }
            for image_id, digest in zip(ids, hashes, strict=True)
        ]

    ids = wb.db.write(lambda connection: next_ids(connection, "train_data_id_seq", IMAGES))
    wb.db.write(lambda connection: bulk_insert(connection, train_data, rows(ids)))
    return theme.id, ids, label_ids


def measure(app: App[Prepared], count: int, requests: int) -> list[float]:
    theme_id, ids, label_ids = app.prepared
    chosen = random.Random(0)
    times = []
    for number in range(WARM_UP + requests):
        changes = [
            {"image_id": image_id, "label_id": chosen.choice(label_ids)}
            for image_id in chosen.sample(ids, count)
        ]
        began = time.perf_counter()
        app.client.post(f"/theme/{theme_id}/label/update/", json={"changes": changes}).raise_for_status()
        if number >= WARM_UP:
            times.append((time.perf_counter() - began) * 1000)
    return times


if __name__ == "__main__":
    main()
