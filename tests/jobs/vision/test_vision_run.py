from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import redis
import torch
from safetensors.torch import save

from core import events as protocol
from core.files import FileStore
from core.settings import ROOT, Settings
from tests.jobs.vision.helpers import LABELS, TINY, Finished, events, make_spec, of_type, run


def result(found: list[dict]) -> dict:
    assert not of_type(found, "error"), of_type(found, "error")
    [payload] = of_type(found, "result")
    return payload


def curve(found: list[dict]) -> dict[tuple[int, str], float]:
    """Every metric but the speed, by step and name."""
    return {
        (point["step"], name): value
        for point in of_type(found, "metric")
        for name, value in point["values"].items()
        if not name.startswith(("images_per_second", "system/"))
    }


def test_a_run_tells_everything(finished: Finished) -> None:
    payload = result(finished.events)
    assert payload["labels"] == list(LABELS)
    assert payload["metrics"]["valid"]["n"] == 12 and payload["metrics"]["test"]["n"] == 8
    assert np.sum(payload["confusion"]["test"]) == 8
    assert [row["label"] for row in payload["per_class"]["valid"]] == list(LABELS)
    assert payload["latency_ms"] > 0
    assert payload["epochs_run"] == 4 and 1 <= payload["best_epoch"] <= 4
    assert payload["model"]["uri"] == f"models:/veritrain-theme-1/{payload['model']['version']}"

    names = {name for point in of_type(finished.events, "metric") for name in point["values"]}
    assert "system/cpu_utilization_percentage" in names
    assert {name for name in names if not name.startswith("system/")} == {
        "train_loss", "train_accuracy", "learning_rate",
        "valid_loss", "valid_accuracy", "valid_macro_f1", "images_per_second",
    }  # fmt: skip
    fractions = [p["fraction"] for p in of_type(finished.events, "progress")]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    kinds = [(c["kind"], c["epoch"]) for c in of_type(finished.events, "checkpoint")]
    assert [epoch for kind, epoch in kinds if kind == "last"] == [1, 2, 3, 4]
    assert max(epoch for kind, epoch in kinds if kind == "best") == payload["best_epoch"]


def test_mlflow_has_the_figures_and_leads_back(finished: Finished) -> None:
    from mlflow import MlflowClient

    payload = result(finished.events)
    client = MlflowClient(finished.settings.mlflow_url)
    logged = client.get_run(payload["mlflow_run_id"])
    assert logged.info.status == "FINISHED"
    assert logged.data.params["training.epochs"] == "4"
    assert logged.data.metrics["final_test_accuracy"] == payload["metrics"]["test"]["accuracy"]
    assert len(client.get_metric_history(payload["mlflow_run_id"], "train_loss")) == 20
    version = client.get_model_version(payload["model"]["name"], str(payload["model"]["version"]))
    assert version.tags["veritrain.run_id"] == "1"
    assert version.tags["veritrain.snapshot"] == finished.spec.snapshot.hash
    assert version.tags["veritrain.commit"] == finished.spec.code.commit


SERVE = """
import json, sys
import mlflow.pyfunc.scoring_server, pandas
mlflow.set_tracking_uri(sys.argv[1]); mlflow.set_registry_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
assert "core" not in sys.modules and not any(m.split(".")[0] == "jobs" for m in sys.modules)
out = model.predict(pandas.DataFrame({"image": json.load(open(sys.argv[3]))}))
with open(sys.argv[4], "w") as file:
    mlflow.pyfunc.scoring_server.predictions_to_json(out, file)  # as `mlflow models serve` answers
"""


def test_a_version_predicts_alone_what_the_run_predicted(finished: Finished, tmp_path: Path) -> None:
    """In a fresh process without this repository, and with a changed one in reach."""
    payload = result(finished.events)
    files = FileStore(finished.settings.files_url)
    table = pq.read_table(finished.settings.artifacts_dir / payload["predictions"]).to_pandas()
    assert pq.read_table(files.local_path(payload["answers"])).to_pandas().equals(table)
    manifest = pq.read_table(files.local_path(finished.spec.snapshot.path)).to_pandas()
    test = table[table.split == "test"].merge(manifest[["image_id", "image_path"]], on="image_id")
    images = [base64.b64encode(files.read(path)).decode() for path in test.image_path]
    (tmp_path / "images.json").write_text(json.dumps([*images, "no image", ""]))

    changed = tmp_path / "repository"
    shutil.copytree(ROOT / "jobs", changed / "jobs", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyfunc_model", "imaging", "architectures/mobilenet_v3_small"):
        (changed / f"jobs/vision/{name}.py").write_text("raise SystemExit('the changed file was used')")
    (tmp_path / "serve.py").write_text(SERVE)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    subprocess.run(
        [sys.executable, tmp_path / "serve.py", finished.settings.mlflow_url, payload["model"]["uri"],
         tmp_path / "images.json", tmp_path / "out.json"],
        cwd=changed, env=environment, check=True, timeout=120,
    )  # fmt: skip
    served = json.loads((tmp_path / "out.json").read_text())["predictions"]

    good = served[: len(test)]
    assert [row["label"] for row in good] == test.predicted.tolist()
    probabilities = np.array([row["probabilities"] for row in good])
    assert np.allclose(probabilities, np.stack(test.probabilities), atol=1e-5)
    for row in served[len(test) :]:
        assert row["label"] is row["confidence"] is row["probabilities"] is None
        assert "not an image" in row["error"]


def test_killed_and_resumed_is_bit_for_bit_the_same(finished: Finished, tmp_path: Path) -> None:
    settings = finished.settings
    spec = finished.spec.model_copy(update={"run_id": 2})
    (tmp_path / "spec.json").write_text(spec.model_dump_json())
    environment = os.environ | {
        "VERITRAIN_DATA_DIR": str(settings.data_dir),
        "VERITRAIN_ARTIFACTS_DIR": str(settings.artifacts_dir),
        "REDIS_URL": settings.redis_url,
        "MLFLOW_TRACKING_URI": settings.mlflow_url,
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.jobs.vision.helpers", tmp_path / "spec.json", "1"],
        cwd=ROOT, env=environment,
    )  # fmt: skip
    last = settings.artifacts_dir / "runs/2/checkpoints/last.ckpt"
    end = time.monotonic() + 120
    while not last.exists() and child.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert last.exists() and not (settings.artifacts_dir / "runs/2/trained.json").exists()

    resumed = run(spec, 2, settings)
    assert any("last checkpoint" in line["message"] for line in of_type(resumed, "log"))
    whole, half = result(finished.events), result(resumed)
    assert half["attempts"] == 2
    assert half["weights_sha256"] == whole["weights_sha256"]
    for part in ("metrics", "confusion", "best_epoch", "epochs_run"):
        assert half[part] == whole[part]
    assert curve(events(settings, 2)) == curve(finished.events)
    first_again = min(point["step"] for point in of_type(resumed, "metric"))
    assert first_again > 5, "the resumed attempt began anew"
    numbers = [event["number"] for event in events(settings, 2)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_run_that_stopped_early_does_not_go_on_when_resumed(vision_settings: Settings) -> None:
    text = TINY.replace("patience: 50", "patience: 1").replace("epochs: 4", "epochs: 40, learning_rate: 0.1")
    spec = make_spec(vision_settings, 8, text)
    first = result(run(spec, 1, vision_settings))
    assert first["epochs_run"] < 40
    (
        vision_settings.artifacts_dir / "runs/8/trained.json"
    ).unlink()  # as if killed just before it was written
    found = run(spec, 2, vision_settings)
    assert not of_type(found, "metric")
    for part in ("weights_sha256", "epochs_run", "best_epoch", "metrics"):
        assert result(found)[part] == first[part]


def test_cancel_stops_between_batches_and_keeps_the_checkpoint(vision_settings: Settings) -> None:
    spec = make_spec(vision_settings, 3, TINY.replace("epochs: 4", "epochs: 900"))
    last = vision_settings.artifacts_dir / "runs/3/checkpoints/last.ckpt"

    def ask() -> None:
        while not last.exists():
            time.sleep(0.02)
        redis.Redis.from_url(vision_settings.redis_url).set(protocol.control_key(3), "cancel")

    person = threading.Thread(target=ask)
    person.start()
    found = run(spec, 1, vision_settings)
    person.join()
    assert of_type(found, "status")[-1]["status"] == "cancelled"
    assert not of_type(found, "error") and not of_type(found, "result")
    assert torch.load(last, weights_only=True)["epoch"] >= 0


def test_without_mlflow_the_training_is_kept_and_only_registered_later(vision_settings: Settings) -> None:
    spec = make_spec(vision_settings, 4, TINY.replace("epochs: 4", "epochs: 1"))
    away = replace(vision_settings, mlflow_url="http://127.0.0.1:9/mlflow")
    found = run(spec, 1, away, patience_s=0.5)
    [error] = of_type(found, "error")
    assert error["kind"] == "environment" and "training is done and kept" in error["message"]

    later = run(spec, 2, vision_settings)
    assert result(later)["model"]["version"] >= 1
    assert not of_type(later, "metric"), "trained again"
    again = run(spec, 3, vision_settings)
    assert result(again)["model"] == result(later)["model"], "registered twice"

    from mlflow import MlflowClient

    history = MlflowClient(vision_settings.mlflow_url).get_metric_history(
        result(later)["mlflow_run_id"], "train_loss"
    )
    assert len(history) == 5, "figures from while MLflow was away"


def test_damaged_images_are_named_and_left_out(vision_settings: Settings) -> None:
    text = TINY.replace("epochs: 4", "epochs: 1")
    found = run(make_spec(vision_settings, 5, text, damaged=(3, 8)), 1, vision_settings)  # train and test
    assert result(found)["metrics"]["test"]["n"] == 7
    warned = [line["message"] for line in of_type(found, "log") if line["level"] == "warning"]
    assert any(line.startswith("Image 3 is left out.") for line in warned)
    assert any(line.startswith("Image 8 is left out.") for line in warned)

    many = tuple(range(1, 31))
    [error] = of_type(run(make_spec(vision_settings, 6, text, damaged=many), 1, vision_settings), "error")
    assert error["kind"] == "data" and "cannot be read, the first is image" in error["message"]


def test_a_loss_that_is_no_number_ends_the_run(vision_settings: Settings) -> None:
    from mlflow import MlflowClient

    from jobs.vision import architectures
    from jobs.vision.tracking import Tracker

    state = architectures.get("mobilenet_v3_small").build(3, 32).state_dict()
    state["features.0.0.weight"].fill_(float("nan"))
    files = FileStore(vision_settings.files_url)
    files.write("weights/nan.safetensors", save(state))
    text = TINY.replace("mobilenet_v3_small", "mobilenet_v3_small, weights: nan.safetensors")
    spec = make_spec(vision_settings, 7, text)
    [error] = of_type(run(spec, 1, vision_settings), "error")
    assert error["kind"] == "configuration" and "lower the learning rate" in error["message"]

    folder = vision_settings.artifacts_dir / "runs" / "7"
    client = MlflowClient(vision_settings.mlflow_url)
    logged = json.loads((folder / "mlflow.json").read_text())["run_id"]
    assert client.get_run(logged).info.status == "FAILED"
    Tracker(vision_settings.mlflow_url, spec, folder).finish(60, lambda: None)  # as a resumed attempt's
    assert client.get_run(logged).info.status == "RUNNING"
