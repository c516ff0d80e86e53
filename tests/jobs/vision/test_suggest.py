"""The job that suggests labels, with the model of a real training run."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
import torch
from PIL import Image

from core import events as protocol
from core.files import FileStore
from core.settings import ROOT, Settings
from core.spec import SuggestSpec, VersionRef
from core.suggestion_files import MANIFEST, RESULT
from jobs.runtime import Job
from tests.jobs.vision.helpers import LABELS, Finished, events, of_type, picture, png

LABEL_IDS = (70, 50, 60)


def make_spec(finished: Finished, run_id: int, *, n: int = 90, damaged: tuple[int, ...] = ()) -> SuggestSpec:
    """`n` new images of which every third has a label; of the ids `damaged` odd ones are no images, even ones gone."""
    files = FileStore(finished.settings.files_url)
    random = np.random.default_rng(5)
    rows: list[dict[str, Any]] = []
    for image_id in range(1, n + 1):
        kind = image_id % 3
        data = png(picture(kind, random))
        key = files.put(data[:60] if image_id in damaged else data, "images", "png")
        if image_id in damaged and image_id % 2 == 0:
            key = f"images/00/gone-{image_id}.png"
        rows.append(
            {
                "image_id": image_id, "sha256": "0" * 64, "image_path": key, "split": None,
                "label_id": LABEL_IDS[kind] if image_id > n * 2 // 3 else None,
            }
        )  # fmt: skip
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, MANIFEST), out)
    [result] = of_type(finished.events, "result")
    return SuggestSpec(
        run_id=run_id,
        kind="suggest",
        theme_id=1,
        version=VersionRef(id=9, uri=result["model"]["uri"]),
        labels=LABELS,
        label_ids=LABEL_IDS,
        manifest=files.put(out.getvalue(), "suggestions", "parquet"),
        code=finished.spec.code,
        created_by="labeler",
    )


def run(spec: SuggestSpec, settings: Settings, patience_s: float = 60.0) -> list[dict[str, Any]]:
    from jobs.vision.suggest import main

    with Job(spec, 1, settings) as job:
        main(job, spec, patience_s=patience_s)
    return events(settings, spec.run_id)


def result_of(found: list[dict[str, Any]], settings: Settings) -> tuple[dict[str, Any], pa.Table]:
    assert not of_type(found, "error"), of_type(found, "error")
    [result] = of_type(found, "result")
    with FileStore(settings.files_url).open(result["suggestions"]) as file:
        return result, pq.read_table(file)


def test_every_image_gets_a_label_an_embedding_and_a_place(finished: Finished) -> None:
    spec = make_spec(finished, 101)
    found = run(spec, finished.settings)
    result, table = result_of(found, finished.settings)
    assert table.schema == RESULT
    assert (result["version_id"], result["n"], result["skipped"]) == (9, 90, 0)
    assert table["image_id"].to_pylist() == list(range(1, 91))
    rows = table.to_pylist()
    assert {row["label_id"] for row in rows} <= set(LABEL_IDS)
    assert all(1 / 3 <= row["confidence"] <= 1 and 0 <= row["margin"] <= 1 for row in rows)
    assert sorted(row["sweep_rank"] for row in rows) == list(range(1, 91))
    assert sorted(row["teach_rank"] for row in rows[:60]) == list(range(1, 61))
    assert all(row["teach_rank"] is None for row in rows[60:])
    vectors = np.array([np.frombuffer(row["embedding"], np.int8) for row in rows], dtype=float)
    assert vectors.shape == (90, 64)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 127, atol=4)
    fractions = [p["fraction"] for p in of_type(found, "progress")]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert of_type(found, "status")[-1]["status"] == "succeeded"


def test_labels_are_those_that_the_served_model_predicts(finished: Finished) -> None:
    from jobs.vision.pyfunc_model import Classifier

    spec = make_spec(finished, 102)
    exact = {"device": "cuda" if torch.cuda.is_available() else "cpu", "precision": "fp32", "threads": 1}
    beside = finished.settings.artifacts_dir / "runs/102/hardware.json"
    beside.parent.mkdir()
    beside.write_text(json.dumps(exact))
    _, table = result_of(run(spec, finished.settings), finished.settings)
    folder = finished.settings.artifacts_dir / "runs/1/model"
    classifier = Classifier(folder)
    files = FileStore(finished.settings.files_url)
    paths = pq.read_table(files.local_path(spec.manifest))["image_path"].to_pylist()
    probabilities, _ = classifier.classify([files.read(path) for path in paths])
    second, best = np.sort(probabilities, axis=1)[:, -2:].T
    assert table["label_id"].to_pylist() == np.array(LABEL_IDS)[probabilities.argmax(axis=1)].tolist()
    assert np.allclose(table["confidence"].to_numpy(), best, atol=1e-5)
    assert np.allclose(table["margin"].to_numpy(), best - second, atol=1e-5)


def test_a_version_from_before_versions_carried_their_code_answers_the_same(
    finished: Finished, tmp_path: Path
) -> None:
    from jobs.vision.hardware import Hardware
    from jobs.vision.inference import Network

    folder = finished.settings.artifacts_dir / "runs/1/model"
    config = json.loads((folder / "config.json").read_text())
    names = ("resize", "grayscale", "equalize", "normalize_mean", "normalize_std")
    old = {name: config[name] for name in ("architecture", "labels", "image_size", "max_pixels")}
    old |= {"format": 1, "preprocessing": {name: config["preprocessing"][name] for name in names}}
    (tmp_path / "config.json").write_text(json.dumps(old))
    (tmp_path / "weights.safetensors").write_bytes((folder / "weights.safetensors").read_bytes())
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8))
    answers = []
    for place in (tmp_path, folder):
        network = Network(place, Hardware("cpu", "fp32", 1))
        answers.append(network(np.stack([network.prepared(image)])))
    for before, now in zip(*answers, strict=True):
        assert np.array_equal(before, now)


ENTRY = """
import sys
from pkgutil import resolve_name
from core.queue import OTHER_ENTRIES
resolve_name(OTHER_ENTRIES["suggest"])(sys.stdin.read(), 1)
"""


@pytest.mark.slow
def test_the_same_spec_gives_the_same_file(finished: Finished) -> None:
    """Here, and in a fresh process that runs what the queue names."""
    spec = make_spec(finished, 103)
    first, _ = result_of(run(spec, finished.settings), finished.settings)
    settings = finished.settings
    environment = os.environ | {
        "VERITRAIN_DATA_DIR": str(settings.data_dir),
        "VERITRAIN_ARTIFACTS_DIR": str(settings.artifacts_dir),
        "REDIS_URL": settings.redis_url,
        "MLFLOW_TRACKING_URI": settings.mlflow_url,
    }
    text = spec.model_copy(update={"run_id": 104}).model_dump_json()
    subprocess.run(
        [sys.executable, "-c", ENTRY], input=text, text=True, cwd=ROOT, env=environment, check=True
    )
    again, _ = result_of(events(settings, 104), settings)
    assert first["suggestions"] == again["suggestions"], "stored under the hash of its content"


def test_images_that_cannot_be_read_are_counted_and_left_out(finished: Finished) -> None:
    found = run(make_spec(finished, 105, damaged=(4, 7)), finished.settings)
    result, table = result_of(found, finished.settings)
    assert (result["n"], result["skipped"]) == (88, 2)
    assert not {4, 7} & set(table["image_id"].to_pylist())
    lines = [line["message"] for line in of_type(found, "log")]
    assert any(line.startswith("Image 4 is left out. The file is not in the store") for line in lines)
    assert any(line.startswith("Image 7 is left out. This is not an image") for line in lines)
    assert "Suggested labels for 88 images; 2 could not be read." in lines

    nothing = run(make_spec(finished, 106, n=6, damaged=tuple(range(7))), finished.settings)
    [error] = of_type(nothing, "error")
    assert error["kind"] == "data" and "None of the theme's images can be read" in error["message"]


def test_a_model_with_other_labels_or_out_of_reach_is_told(finished: Finished) -> None:
    spec = make_spec(finished, 107).model_copy(update={"labels": ("a", "b", "c")})
    [error] = of_type(run(spec, finished.settings), "error")
    assert "tells other labels apart" in error["message"]
    away = replace(finished.settings, mlflow_url="http://127.0.0.1:9/mlflow")
    [error] = of_type(run(make_spec(finished, 108), away, patience_s=0.5), "error")
    assert error["kind"] == "environment" and "did not give the model" in error["message"]


def test_cancel_stops_between_batches(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs.vision import inference

    monkeypatch.setattr(inference, "CHUNK", 1)
    spec = make_spec(finished, 109, n=3_000)

    def ask() -> None:
        while not of_type(events(finished.settings, 109), "progress"):
            time.sleep(0.02)
        redis.Redis.from_url(finished.settings.redis_url).set(protocol.control_key(109), "cancel")

    person = threading.Thread(target=ask)
    person.start()
    found = run(spec, finished.settings)
    person.join()
    assert of_type(found, "status")[-1]["status"] == "cancelled"
    assert not of_type(found, "error") and not of_type(found, "result")
