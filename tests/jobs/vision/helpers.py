"""A tiny real data set, its run specification, and a run of it as a process of its own.

python -m tests.jobs.vision.helpers SPEC_FILE ATTEMPT    (settings from the environment)
"""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from core.files import FileStore
from core.params import Auguments, Params, parse_yaml
from core.settings import Settings
from core.spec import CodeVersion, RunSpec, SnapshotRef

LABELS = ("dark", "light", "striped")
TINY = """
model: {architecture: mobilenet_v3_small}
training: {epochs: 4, batch_size: 8}
early_stopping: {patience: 50}
data: {image_size: 32}
"""


@dataclass(frozen=True)
class Finished:
    settings: Settings
    spec: RunSpec
    events: list[dict[str, Any]]


def png(image: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


def picture(label: int, random: np.random.Generator) -> np.ndarray:
    """(16, 20, 3): dark, light, or striped, with noise."""
    image = random.integers(0, 60, (16, 20, 3)) + (0 if label == 0 else 190)
    if label == 2:
        image[::4] = random.integers(0, 60, (4, 20, 3))
    return image.astype(np.uint8)


def make_spec(
    settings: Settings, run_id: int, text: str = TINY, *, damaged: tuple[int, ...] = (), n: int = 60
) -> RunSpec:
    """Store `n` images (every fifth valid, every sixth test) and freeze them; `damaged` ids are no images."""
    files = FileStore(settings.files_url)
    random = np.random.default_rng(0)
    columns: dict[str, list[Any]] = {"image_id": [], "image_path": [], "label": [], "split": []}
    for place in range(n):
        data = png(picture(place % 3, random))
        key = files.put(data if place + 1 not in damaged else data[:60], "images", "png")
        columns["image_id"].append(place + 1)
        columns["image_path"].append(key)
        columns["label"].append(LABELS[place % 3])
        columns["split"].append("valid" if place % 5 == 0 else "test" if place % 6 == 1 else "train")
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    name = f"snapshots/tiny-{n}-{len(damaged)}.parquet"
    files.write(name, out.getvalue())
    return RunSpec(
        run_id=run_id,
        kind="vision",
        theme_id=1,
        theme_name="tiny",
        model_name="tiny",
        labels=LABELS,
        snapshot=SnapshotRef(id=1, hash="ab" * 32, path=name),
        params=parse_yaml(text, Params).model_dump(mode="json"),
        auguments=Auguments().model_dump(mode="json"),
        code=CodeVersion(commit="0" * 40, dirty=False, source_hash="1" * 64),
        created_by="trainer",
    )


def run(spec: RunSpec, attempt: int, settings: Settings, patience_s: float = 60.0) -> list[dict[str, Any]]:
    """Run one attempt in this process; the events of this attempt."""
    from jobs.runtime import Job
    from jobs.vision.run import main

    with Job(spec, attempt, settings) as job:
        main(job, spec, patience_s=patience_s)
    return [event for event in events(settings, spec.run_id) if event["attempt"] == attempt]


def events(settings: Settings, run_id: int) -> list[dict[str, Any]]:
    path = settings.artifacts_dir / "runs" / str(run_id) / "events.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def of_type(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event["payload"] for event in found if event["type"] == kind]


if __name__ == "__main__":
    run(RunSpec.model_validate_json(Path(sys.argv[1]).read_text()), int(sys.argv[2]), Settings.from_env())
