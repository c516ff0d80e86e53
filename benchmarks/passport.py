"""Time to make the passport of a version: 8,000 images of 10 labels, one of ten test images called wrongly.

    .venv/bin/python -m benchmarks.passport [--images 8000] [--labels 10]

DuckDB in a temporary folder, rows and pictures made here, MLflow away. The first time has the imports of scipy and
reportlab in it. Prints a table; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from core import auth, registry, snapshots, themes
from core.collector import Collector
from core.db.engine import bulk_insert, next_ids
from core.db.tables import finetuning_jobs, image_features, label_history, run_metrics, train_data
from core.events import Event, Type
from core.images import thumbnail_key
from core.images_io import THUMBNAIL_SIDES
from core.params import load_defaults
from core.passport import gather, page, paper, words
from core.settings import Settings
from core.spec import CodeVersion, RunSpec, SnapshotRef
from core.workbench import Workbench

TARGET_MS = 3_000
AGAIN = 5
POINTS = 2_000
"""Of each curve."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--images", type=int, default=8_000)
    arguments.add_argument("--labels", type=int, default=10)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="veritrain-bench-") as temporary:
        folder = Path(temporary)
        settings = Settings.from_env(
            {
                "VERITRAIN_DATA_DIR": str(folder / "data"),
                "VERITRAIN_ARTIFACTS_DIR": str(folder / "artifacts"),
                "MLFLOW_TRACKING_URI": "http://127.0.0.1:9/mlflow",
            }
        )
        wb = Workbench.open(settings)
        version_id = made(wb, given.images, given.labels)
        rounds = [measured(wb, version_id) for _ in range(1 + AGAIN)]
        wb.close()
    first = rounds[0]
    again = {name: statistics.median(each[name] for each in rounds[1:]) for name in first}
    print(f"{'passport of ' + format(given.images, ',') + ' images':28} {'first':>9} {'again':>9}")
    for name in first:
        print(f"{name:28} {first[name]:6.0f} ms {again[name]:6.0f} ms")
    slowest = sum(first.values())
    print(f"all three, first time: {slowest:.0f} ms (wanted: at most {TARGET_MS})")
    told = {
        "benchmark": "passport",
        "first_ms": {name: round(value) for name, value in first.items()},
        "again_ms": {name: round(value) for name, value in again.items()},
        "target_ms": TARGET_MS,
        "ok": slowest <= TARGET_MS,
    }
    print(json.dumps(told))


def measured(wb: Workbench, version_id: int) -> dict[str, float]:
    """Milliseconds by step."""
    took: dict[str, float] = {}

    def step(name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        found = work()
        took[name] = (time.perf_counter() - start) * 1000
        return found

    known = step("gather", lambda: gather.passport(wb, version_id))
    step("html", lambda: page.render(words.document(known)))
    step("pdf", lambda: paper.render(words.document(known)))
    return took


def made(wb: Workbench, n: int, k: int) -> int:
    """A theme of `n` labelled images, and the id of a version that learnt from them."""
    auth.create_first_admin(wb, "ada", "benchmark benchmark", "")
    [ada] = auth.list_users(wb)
    theme = themes.create(wb, ada, name="Ten kinds", labels=[f"label {each}" for each in range(k)])
    random, now = np.random.default_rng(0), datetime.now(UTC)
    splits = random.choice(["train", "valid", "test"], n, p=[0.7, 0.15, 0.15]).tolist()
    labels = [theme.labels[each].id for each in random.integers(0, k, n)]
    hashes = [f"{each:064x}" for each in random.permutation(n)]
    images = [
        {
            "id": place + 1, "theme_id": theme.id, "image_path": f"images/{hashes[place][:2]}/{hashes[place]}.jpg",
            "file_name": f"{place}.jpg", "sha256": hashes[place], "phash": "0" * 16, "format": "JPEG", "width": 200,
            "height": 160, "size": 9_000, "label_id": labels[place], "split": splits[place], "labeled_by": ada.id,
            "labeled_at": now, "uploaded_by": ada.id, "created_at": now, "updated_at": now,
        }
        for place in range(n)
    ]  # fmt: skip
    acts = [
        {
            "id": place + 1, "theme_id": theme.id, "image_id": place + 1, "at": now, "user_id": ada.id,
            "to_label_id": labels[place], "source": "hand",
        }
        for place in range(n)
    ]  # fmt: skip
    looks = [
        {"image_id": place + 1, "theme_id": theme.id, "look": b"", **dict(zip(MEASURES, values, strict=True))}
        for place, values in enumerate(random.random((n, len(MEASURES))).tolist())
    ]
    out = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (128, 160, 3), dtype=np.uint8)).save(out, "WEBP", quality=80)
    for place in range(n):
        if splits[place] == "test":
            wb.files.write(thumbnail_key(hashes[place], THUMBNAIL_SIDES[0]), out.getvalue())
    for table, rows in ((train_data, images), (label_history, acts), (image_features, looks)):
        wb.db.write(lambda connection, table=table, rows=rows: bulk_insert(connection, table, rows))  # type: ignore[misc]
    return registered(wb, ada, theme, random)


MEASURES = ("shade", "light", "contrast", "entropy", "sharpness", "colour")


def registered(wb: Workbench, ada: auth.User, theme: themes.Theme, random: np.random.Generator) -> int:
    """The version of a run that ended, with its curves and its answers to single images."""
    frozen = snapshots.freeze(wb, ada, theme.id)
    params, auguments = load_defaults()
    [run_id] = wb.db.write(lambda connection: next_ids(connection, "finetuning_jobs_id_seq", 1))
    spec = RunSpec(
        run_id=run_id,
        kind="vision",
        theme_id=theme.id,
        theme_name=theme.name,
        model_name=f"veritrain-theme-{theme.id}",
        labels=frozen.labels,
        snapshot=SnapshotRef(id=frozen.id, hash=frozen.hash, path=frozen.path),
        params=params.model_dump(mode="json"),
        auguments=auguments.model_dump(mode="json"),
        code=CodeVersion(commit="0" * 40, dirty=False, source_hash="1" * 64),
        created_by=ada.name,
    )
    now = datetime.now(UTC)
    job = {
        "id": run_id, "kind": "vision", "theme_id": theme.id, "snapshot_id": frozen.id, "status": "running",
        "spec": spec.model_dump(mode="json"), "attempt": 1, "created_by": ada.id, "created_at": now, "last_event": 0,
    }  # fmt: skip
    wb.db.write(lambda connection: connection.execute(finetuning_jobs.insert().values(**job)) and None)
    points = [
        {
            "run_id": run_id, "number": number, "name": name, "step": number, "epoch": number / 100,
            "value": 1 / number, "at": now,
        }
        for name in gather.CURVES
        for number in range(1, POINTS + 1)
    ]  # fmt: skip
    wb.db.write(lambda connection: bulk_insert(connection, run_metrics, points))
    result = answered(wb, frozen, random)
    name = spec.model_name
    result["model"] = {"name": name, "version": 1, "uri": f"models:/{name}/1", "files": {}, "size": 0}
    Collector(wb).store(
        [
            Event(run_id, POINTS + 1, 1, now, Type.RESULT, result),
            Event(run_id, POINTS + 2, 1, now, Type.STATUS, {"status": "succeeded"}),
        ]
    )
    version = registry.of_run(wb, run_id)
    assert version is not None
    return version.id


def answered(wb: Workbench, frozen: snapshots.Snapshot, random: np.random.Generator) -> dict[str, Any]:
    """A result whose model is right nine times of ten."""
    rows = [row for row in snapshots.read(wb, frozen).to_pylist() if row["split"] == "test"]
    names = list(frozen.labels)
    k = len(names)
    truth = np.array([names.index(row["label"]) for row in rows])
    wrong = random.random(len(rows)) < 0.1
    said = np.where(wrong, (truth + random.integers(1, k, len(rows))) % k, truth)
    sure = random.uniform(0.5, 1.0, len(rows))
    shares = np.repeat(((1 - sure) / (k - 1))[:, None], k, axis=1)
    shares[np.arange(len(rows)), said] = sure
    table = pa.table(
        {
            "image_id": [row["image_id"] for row in rows],
            "split": ["test"] * len(rows),
            "label": [row["label"] for row in rows],
            "predicted": [names[place] for place in said],
            "confidence": sure,
            "probabilities": shares.tolist(),
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out)
    matrix = np.zeros((k, k), dtype=int)
    np.add.at(matrix, (truth, said), 1)
    return {
        "labels": names,
        "answers": wb.files.put(out.getvalue(), "predictions", "parquet"),
        "metrics": {
            "test": {"accuracy": float((truth == said).mean()), "macro_f1": 0.9, "loss": 0.3, "n": len(rows)}
        },
        "confusion": {"test": matrix.tolist()},
        "per_class": {
            "test": [
                {
                    "label": name,
                    "precision": 0.9,
                    "recall": 0.9,
                    "f1": 0.9,
                    "support": int((truth == place).sum()),
                }
                for place, name in enumerate(names)
            ]
        },
        "epochs_run": 20,
        "best_epoch": 18,
    }


if __name__ == "__main__":
    main()
