"""The job that predicts a batch, with the model of a real training run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core import prediction_files
from core.files import FileStore
from core.gateway import tables
from core.prediction_files import given, packed
from core.spec import PredictSpec, VersionRef
from jobs.runtime import Job
from tests.jobs.vision.helpers import LABELS, Finished, events, of_type, picture, png

REFUSED = "“dear.txt” is not an image we can read."


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs.vision import batch_predict, inference

    for module in (prediction_files, batch_predict):
        monkeypatch.setattr(module, "PART", 16)
    monkeypatch.setattr(inference, "CHUNK", 10)


def make_spec(finished: Finished, run_id: int, n: int = 50) -> PredictSpec:
    """`n` rows: the fifth was refused when it came, the seventh is no image by now, the ninth is gone."""
    files = FileStore(finished.settings.files_url)
    random = np.random.default_rng(6)
    rows: list[tuple[str, str | None, str | None]] = []
    for place in range(n):
        data = png(picture(place % 3, random))
        name = f"folder/{place}.png"
        if place == 5:
            rows.append(("dear.txt", None, REFUSED))
        elif place == 9:
            rows.append((name, f"batches/{run_id}/images/00/gone.png", None))
        else:
            rows.append((name, files.put(data[:60] if place == 7 else data, "batches/3/images", "png"), None))
    [result] = of_type(finished.events, "result")
    return PredictSpec(
        run_id=run_id,
        kind="predict",
        theme_id=1,
        batch_id=3,
        version=VersionRef(id=9, uri=result["model"]["uri"]),
        labels=LABELS,
        manifest=files.put(packed(given(rows)), "batches/3/manifest", "parquet"),
        code=finished.spec.code,
        created_by="viewer",
    )


def run(spec: PredictSpec, finished: Finished, attempt: int = 1) -> list[dict[str, Any]]:
    from jobs.vision.batch_predict import main

    with Job(spec, attempt, finished.settings) as job:
        main(job, spec, patience_s=60.0)
    return [event for event in events(finished.settings, spec.run_id) if event["attempt"] == attempt]


def answers(found: list[dict[str, Any]], finished: Finished) -> tuple[dict[str, Any], pa.Table]:
    assert not of_type(found, "error"), of_type(found, "error")
    [result] = of_type(found, "result")
    return result, pq.read_table(FileStore(finished.settings.files_url).local_path(result["answers"]))


def test_answers_are_those_of_the_served_model_and_no_file_is_left_out(finished: Finished) -> None:
    from jobs.vision.pyfunc_model import Classifier

    spec = make_spec(finished, 201)
    found = run(spec, finished)
    result, table = answers(found, finished)
    files = FileStore(finished.settings.files_url)
    manifest = pq.read_table(files.local_path(spec.manifest)).to_pylist()
    rows = list(tables.rows_of(table))
    assert [row.file for row in rows] == [row["file"] for row in manifest]
    assert {row.file: row.error for row in rows if row.error} == {
        "dear.txt": REFUSED,
        "folder/7.png": "This is not an image that can be read; it may be damaged.",
        "folder/9.png": "The file is not in the store.",
    }
    good = [row for row in rows if row.error is None]
    paths = [given["path"] for given, row in zip(manifest, rows, strict=True) if row.error is None]
    classifier = Classifier(finished.settings.artifacts_dir / "runs/1/model")
    served, _ = classifier.classify([files.read(path) for path in paths])
    assert np.allclose(np.array([row.shares for row in good]), served, atol=1e-5)
    assert [row.label for row in good] == [LABELS[best] for best in served.argmax(axis=1)]
    assert np.allclose([row.confidence or 0 for row in good], served.max(axis=1), atol=1e-5)

    assert (result["n"], result["errors"], result["version_id"]) == (47, 3, 9)
    assert {each["label"]: each["n"] for each in result["by_label"]} == {
        label: sum(row.label == label for row in good) for label in LABELS
    }
    unsure = result["unsure"]
    assert [each["confidence"] for each in unsure] == sorted(row.confidence or 0 for row in good)[:24]
    assert all(rows[each["row"]].file == each["file"] and each["next"] != each["label"] for each in unsure)
    assert [each["file"] for each in result["failed"]] == ["dear.txt", "folder/7.png", "folder/9.png"]
    fractions = [each["fraction"] for each in of_type(found, "progress")]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert [each["kind"] for each in of_type(found, "checkpoint")] == ["part"] * 4
    assert not (finished.settings.artifacts_dir / "runs/201/parts").exists()


def test_a_job_that_was_stopped_computes_only_what_is_missing(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = answers(run(make_spec(finished, 202), finished), finished)
    spec = make_spec(finished, 203)
    parts = finished.settings.artifacts_dir / "runs/203/parts"
    with monkeypatch.context() as person:
        asked = (parts / "00001.parquet").exists
        person.setattr(Job, "wanted", lambda self: "cancel" if asked() else None)
        first = run(spec, finished)
    assert of_type(first, "status")[-1]["status"] == "cancelled" and not of_type(first, "result")
    (parts / "00001.parquet").write_bytes(b"PAR1 torn")
    second = run(spec, finished, attempt=2)
    again, _ = answers(second, finished)
    assert again == whole, "the same answers, under the same hash"
    # The torn part is not taken for whole; the first one is not computed again.
    assert [each["step"] for each in of_type(second, "checkpoint")] == [32, 48, 50]
    assert "Going on after 15 images that have their answers." in [
        line["message"] for line in of_type(second, "log")
    ]
    [steps] = {each["steps"] for each in of_type(second, "progress") if each["phase"] == "predict"}
    assert steps == 49


def test_a_model_with_other_labels_or_out_of_reach_is_told(finished: Finished) -> None:
    from jobs.vision.batch_predict import main

    spec = make_spec(finished, 204).model_copy(update={"labels": ("a", "b", "c")})
    [error] = of_type(run(spec, finished), "error")
    assert "tells other labels apart" in error["message"]
    away = replace(finished.settings, mlflow_url="http://127.0.0.1:9/mlflow")
    spec = make_spec(finished, 205)
    with Job(spec, 1, away) as job:
        main(job, spec, patience_s=0.5)
    [error] = of_type(events(away, 205), "error")
    assert error["kind"] == "environment" and "did not give the model" in error["message"]
