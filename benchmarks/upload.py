"""Images a second through the upload route: stored, decoded, hashed and thumbnailed by the real app.

    python -m benchmarks.upload --data cifar10-8k.tar.gz

Without --data it packs 8,000 small random JPEG files first. Prints a table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.app_process import PeakMemory, running_app
from core import themes

FILES = 8_000
TARGET_PER_SECOND = 400
TARGET_GROWTH = 200
"""MiB."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="a zip, tar or tar.gz of <split>/<label>/<image>")
    data = parser.parse_args().data
    with (
        tempfile.TemporaryDirectory(prefix="veritrain-bench-") as folder,
        running_app(lambda wb, admin: themes.create(wb, admin, name="Upload").id) as app,
    ):
        path = data or packed(Path(folder))
        options = {"label_from_folder": True, "split_from_folder": True, "create_labels": True}
        with path.open("rb") as file, PeakMemory(app.process) as memory:
            began = time.perf_counter()
            answer = app.client.post(
                f"/theme/{app.prepared}/images/upload/",
                params=options,
                files=[("files", (path.name, file))],
            )
            seconds = time.perf_counter() - began
        answer.raise_for_status()
        report = answer.json()
        thumb = app.client.get(f"/theme/{app.prepared}/images/").json()["items"][0]["thumb"]
        app.client.get(thumb.removeprefix("/api")).raise_for_status()
    figures = {
        "benchmark": "upload",
        "images": report["added"],
        "refused": report["refused_total"],
        "duplicates": report["duplicates"],
        "seconds": round(seconds, 2),
        "images_per_second": round(report["added"] / seconds),
        "memory_before_mib": round(memory.before),
        "memory_growth_mib": round(memory.peak - memory.before),
    }
    print(f"{'images':>8} {'seconds':>8} {'images/s':>9} {'target':>7} {'growth MiB':>11} {'target':>7}")
    speed, growth = f"≥ {TARGET_PER_SECOND}", f"< {TARGET_GROWTH}"
    print(
        f"{figures['images']:8} {figures['seconds']:8.2f} {figures['images_per_second']:9} {speed:>7}"
        f" {figures['memory_growth_mib']:11} {growth:>7}"
    )
    print(json.dumps(figures))


def packed(folder: Path) -> Path:
    """A tar of FILES random 32 × 32 JPEG files in ten folders."""
    random = np.random.default_rng(0)
    path = folder / "random.tar"
    with tarfile.open(path, "w") as archive:
        for index in range(FILES):
            pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            out = io.BytesIO()
            Image.fromarray(pixels).resize((32, 32)).save(out, "JPEG")
            info = tarfile.TarInfo(f"train/label-{index % 10}/{index:04d}.jpg")
            info.size = out.tell()
            out.seek(0)
            archive.addfile(info, out)
    return path


if __name__ == "__main__":
    main()
