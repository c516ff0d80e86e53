"""Seconds until a manifest (sha256, label, split) of 100,000 images that are stored already is imported.

    python -m benchmarks.manifest_import

Once into a theme that has the images without labels, once into a theme that has none of
them. Prints a table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from datetime import UTC, datetime

import httpx

from benchmarks.app_process import App, running_app
from core import auth, themes
from core.db.engine import bulk_insert, next_ids
from core.db.tables import train_data
from core.workbench import Workbench

IMAGES = 100_000
LABELS = 10
TARGET = 5.0
"""Seconds."""

Prepared = tuple[int, int]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="not needed here; the rows are made")
    parser.parse_args()
    figures: dict[str, object] = {"benchmark": "manifest_import", "images": IMAGES}
    with running_app(prepare) as app:
        print(f"{'theme':>18} {'dry run s':>10} {'import s':>9} {'target':>7}")
        for name, theme_id in zip(("without_labels", "without_images"), app.prepared, strict=True):
            dry, seconds = measure(app, theme_id)
            print(f"{name:>18} {dry:10.2f} {seconds:9.2f} {'≤ ' + str(TARGET):>7}")
            figures |= {f"plan_s_{name}": round(dry, 2), f"import_s_{name}": round(seconds, 2)}
    print(json.dumps(figures))


def prepare(wb: Workbench, admin: auth.User) -> Prepared:
    """A theme with IMAGES rows that have no label, and an empty one."""
    full = themes.create(wb, admin, name="Full")
    empty = themes.create(wb, admin, name="Empty")
    now = datetime.now(UTC)
    ids = wb.db.write(lambda connection: next_ids(connection, "train_data_id_seq", IMAGES))
    rows = [
        {
            "id": image_id,
            "theme_id": full.id,
            "image_path": f"images/{digest[:2]}/{digest}.jpg",
            "file_name": f"{number}.jpg",
            "sha256": digest,
            "phash": digest[:16],
            "format": "JPEG",
            "width": 32,
            "height": 32,
            "size": 1000,
            "uploaded_by": admin.id,
            "created_at": now,
            "updated_at": now,
        }
        for number, (image_id, digest) in enumerate(zip(ids, map(sha256, range(IMAGES)), strict=True))
    ]
    wb.db.write(lambda connection: bulk_insert(connection, train_data, rows))
    return full.id, empty.id


def sha256(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def measure(app: App[Prepared], theme_id: int) -> tuple[float, float]:
    """Seconds of a dry run, and from the upload of the manifest until all is on disk."""
    splits = ("train", "train", "train", "valid", "test")
    lines = (f"{sha256(n)},label {n % LABELS},{splits[n % len(splits)]}" for n in range(IMAGES))
    manifest = "\n".join(("sha256,label,split", *lines)).encode()
    files = {"files": ("manifest.csv", manifest)}
    began = time.perf_counter()
    plan = app.client.post(f"/theme/{theme_id}/imports/plan", files=files).raise_for_status().json()
    dry = time.perf_counter() - began
    assert plan["labelled"] == IMAGES
    began = time.perf_counter()
    started = app.client.post(f"/theme/{theme_id}/imports", files=files).raise_for_status().json()
    found = ended(app.client, started["id"])
    seconds = time.perf_counter() - began
    assert found["status"] == "done" and found["labelled"] == IMAGES, found
    return dry, seconds


def ended(client: httpx.Client, import_id: int) -> dict[str, object]:
    while True:
        found: dict[str, object] = client.get(f"/imports/{import_id}").raise_for_status().json()
        if found["status"] != "running":
            return found
        time.sleep(0.1)


if __name__ == "__main__":
    main()
