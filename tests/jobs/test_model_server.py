"""A model server serves only the files that the training wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from core.files import sha256_of
from core.settings import ROOT
from jobs import model_server


def test_what_was_exchanged_or_added_is_named_and_what_mlflow_adds_is_not(tmp_path: Path) -> None:
    for name in ("MLmodel", "artifacts/weights.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    files = {name: sha256_of(tmp_path / name) for name in ("MLmodel", "artifacts/weights.safetensors")}
    (tmp_path / "registered_model_meta").write_text("model_version: 1")
    assert model_server.exchanged(tmp_path, files) == []
    (tmp_path / "artifacts/torch.py").write_text("")
    (tmp_path / "python_env.yaml").write_text("")
    (tmp_path / "artifacts/weights.safetensors").write_bytes(b"other")
    wrong = ["artifacts/torch.py", "artifacts/weights.safetensors", "python_env.yaml"]
    assert model_server.exchanged(tmp_path, files) == wrong
    old = {name: sha256 for name, sha256 in files.items() if name != "MLmodel"}  # only ours were hashed
    assert model_server.exchanged(tmp_path, old) == wrong[:2]


@pytest.mark.timeout(180)
def test_a_server_of_other_files_ends_and_says_which(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "MLmodel").write_text("flavors: {}")
    told = {
        "uri": str(model), "host": "127.0.0.1", "port": 1, "folder": str(tmp_path / "copy"),
        "log": str(tmp_path / "log"), "files": {"MLmodel": "0" * 64},
    }  # fmt: skip
    command = [sys.executable, "-P", str(ROOT / "jobs" / "model_server.py")]
    ended = subprocess.run(command, input=json.dumps(told) + "\n", text=True, cwd=tmp_path, timeout=170)
    assert ended.returncode == 1
    assert "is not served" in (tmp_path / "log").read_text()
    assert "after its training: MLmodel. Repeat its run." in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            {"message": "Failed to predict data 'a secret'. \nError: Missing inputs ['text']."},
            "Missing inputs ['text'].",
        ),
        ({"message": "unexpected", "stack_trace": "Traceback: no such user"}, "Traceback: no such user"),
        (["?"], "5 bytes that say why it was refused cannot be read"),
    ],
)
def test_the_log_says_why_mlflows_server_refused_and_not_what_was_asked(said: object, why: str) -> None:
    assert model_server.reason(json.dumps(said).encode()) == why
