"""A version that was taken away: checksums, and the same answers in a process that knows nothing of Veritrain."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from core import auth, download, mlflow_files
from core.errors import Conflict, NotAllowed, NotFound, Unavailable
from core.files import FileStore
from core.params import Auguments, Params, check
from core.settings import Settings
from core.spec import RunSpec
from core.workbench import Workbench
from jobs.vision import models, package
from jobs.vision.pyfunc_model import Classifier
from tests.jobs.vision.helpers import make_spec
from tests.mlflow_files import keeping
from tests.passports import parts, version

SMALL = "{model: {architecture: small_cnn}, data: {image_size: 32}}"
PREDICT = """
import json, sys
{before}
from predict import Model
model = Model(".")
print(json.dumps([model(name) for name in sys.argv[1:]]))
assert not {{"core", "jobs", "mlflow", "pandas", {never}}} & set(map(lambda name: name.split(".")[0], sys.modules))
"""


def asked(folder: Path, names: list[str], before: str = "", never: str = "'onnxruntime'") -> list[dict]:
    """What predict.py says in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", PREDICT.format(before=before, never=never), *names],
        cwd=folder, env=environment, check=True, timeout=250, capture_output=True,
    )  # fmt: skip
    found: list[dict] = json.loads(done.stdout)
    return found


def packed(settings: Settings, folder: Path) -> RunSpec:
    """A version's files as a training leaves them, with weights that nobody trained."""
    spec = make_spec(settings, 1, SMALL)
    params, auguments = check(spec.params, Params), check(spec.auguments, Auguments)
    torch.manual_seed(0)
    network = models.build(params, auguments, len(spec.labels), FileStore(settings.files_url))
    with torch.no_grad():
        network.train()(torch.rand(16, 3, 32, 32) * 4 - 2)
        network.head.weight.mul_(50)  # so that it tells the images apart
    assert package.write(folder, spec, params, auguments, network.state_dict(), 10_000_000).without_onnx == ""
    return spec


def test_a_download_predicts_alone_what_the_model_in_mlflow_predicts(
    wb_duckdb: Workbench, trainer: auth.User, tmp_path: Path
) -> None:
    source, store = tmp_path / "model", FileStore(wb_duckdb.settings.files_url)
    spec = packed(wb_duckdb.settings, source)
    files = {f"artifacts/{path.name}": path.read_bytes() for path in source.iterdir()}
    theme = parts(wb_duckdb, trainer, "Tiny")
    one = version(wb_duckdb, trainer, theme.id, None, files=files | {"MLmodel": b"flavors: {}\n"})
    with keeping(wb_duckdb, files) as (wb, _there):
        found = download.stream(wb, trainer, one)
        with (tmp_path / "it.zip").open("wb") as out:
            for chunk in found.chunks:
                assert len(chunk) <= 2 * mlflow_files.PIECE, "bit by bit"
                out.write(chunk)
    with zipfile.ZipFile(tmp_path / "it.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path)
    folder = tmp_path / found.name
    sums = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert sums.keys() == {path.name for path in folder.iterdir()} - {"SHA256SUMS"}
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha for name, sha in sums.items())
    assert {
        "README.md", "predict.py", "labels.txt", "params.yaml", "auguments.yaml", "optuna_params.yaml",
        "config.json", "imaging.py", "architecture.py", "weights.safetensors", "model.onnx",
    } <= sums.keys()  # fmt: skip
    assert "onnxruntime" in (folder / "README.md").read_text()

    rows = pq.read_table(store.local_path(spec.snapshot.path)).to_pylist()[:9]
    names = [str(store.local_path(row["image_path"]).resolve()) for row in rows]
    wanted, errors = Classifier(source).classify([Path(name).read_bytes() for name in names])
    assert not any(errors) and np.ptp(wanted, axis=0).max() > 0.01
    labels = [spec.labels[place] for place in wanted.argmax(axis=1)]
    no_torch = "sys.modules['torch'] = sys.modules['torchvision'] = None"
    for said in (asked(folder, names), asked(folder, names, no_torch, "'safetensors'")):
        assert [each["label"] for each in said] == labels
        got = np.array([[each["probabilities"][label] for label in spec.labels] for each in said])
        assert np.abs(got - wanted).max() < 1e-4

    (folder / "note.png").write_text("not an image")
    by_hand = subprocess.run(
        [sys.executable, "predict.py", "nofile.jpg", "note.png", names[0]],
        cwd=folder, timeout=250, capture_output=True, text=True,
    )  # fmt: skip
    assert by_hand.returncode == 2 and json.loads(by_hand.stdout)["label"] == labels[0]
    assert by_hand.stderr.splitlines() == [
        "“nofile.jpg” cannot be read (No such file or directory); check its name.",
        "“note.png”: This is not an image that can be read; it may be damaged.",
    ], "and no warning of a library's"


def test_what_cannot_be_downloaded_is_refused_in_a_sentence(
    wb_duckdb: Workbench, trainer: auth.User, viewer: auth.User
) -> None:
    files = {
        "artifacts/config.json": b'{"labels": ["good", "bad"], "image_size": 32}',
        "artifacts/weights.safetensors": bytes(range(256)) * 9_000,
    }
    theme = parts(wb_duckdb, trainer)
    old = version(wb_duckdb, trainer, theme.id, None, files=None)
    one = version(wb_duckdb, trainer, theme.id, None, 2, files=files)
    with pytest.raises(NotFound):
        download.stream(wb_duckdb, trainer, 999)
    with pytest.raises(NotAllowed):
        download.stream(wb_duckdb, viewer, one)
    with pytest.raises(Conflict, match="were not hashed"):
        download.stream(wb_duckdb, trainer, old)
    with pytest.raises(Unavailable, match="does not answer"):
        download.stream(wb_duckdb, trainer, one)
    with keeping(wb_duckdb, files) as (wb, there):
        whole = b"".join(download.stream(wb, trainer, one).chunks)
        there["artifacts/weights.safetensors"] = b"other weights"
        with pytest.raises(Conflict, match="was exchanged"):
            for _chunk in download.stream(wb, trainer, one).chunks:
                pass
        there["artifacts/config.json"] = b"{}"
        with pytest.raises(Conflict, match=r"config\.json"):
            download.stream(wb, trainer, one)
        del there["artifacts/config.json"]
        with pytest.raises(Conflict, match=r"config\.json"):
            download.stream(wb, trainer, one)
    assert b"There is no `model.onnx`" in whole
