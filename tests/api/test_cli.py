"""The command line does what the screens do, through the same interface."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app import App
from tests.conftest import PASSWORD, ROOT
from tests.pictures import png


class Shell:
    def __init__(self, url: str, home: Path) -> None:
        self.environment = os.environ | {"VERITRAIN_URL": url, "XDG_CONFIG_HOME": str(home), "COLUMNS": "200"}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "api.cli", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture
def shell(app: App, tmp_path: Path) -> Shell:
    return Shell(app.url, tmp_path / "config")


def test_from_sign_in_to_a_split_theme(shell: Shell, tmp_path: Path) -> None:
    stranger = shell.run("themes")
    assert stranger.returncode == 1 and "not signed in" in stranger.stderr
    assert "not right" in shell.run("login", "--name", "Ada", "--password", "wrong").stderr
    assert shell.run("login", "--name", "Ada", "--password", PASSWORD).returncode == 0
    token = tmp_path / "config" / "veritrain" / "token"
    assert token.stat().st_mode & 0o077 == 0, "nobody else reads the token"
    assert shell.run("create-theme", "Shapes", "--label", "round").returncode == 0
    for n in range(12):
        file = tmp_path / "shapes" / ("round" if n % 2 else "square") / f"{n}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(seed=n))
    (tmp_path / "shapes" / "notes.txt").write_text("not an image", encoding="utf-8")
    sent = shell.run("upload", "--theme", "shapes", "--folder-labels", str(tmp_path / "shapes"))
    assert "12 added, 0 were there already, 1 refused." in sent.stdout
    assert "notes.txt" in sent.stderr
    assert "train: 8, valid: 2, test: 2" in shell.run("split", "--theme", "Shapes").stdout
    listed = shell.run("themes").stdout
    assert "Shapes" in listed and "12" in listed
    assert "There is no theme “Cubes”" in shell.run("train", "--theme", "Cubes").stderr


def test_parameters_are_shown_set_compared_and_restored(shell: Shell) -> None:
    assert shell.run("login", "--name", "Ada", "--password", PASSWORD).returncode == 0
    assert shell.run("create-theme", "Circles").returncode == 0

    def said(*words: str) -> str:
        answer = shell.run("params", *words)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    theme = ("--theme", "circles")
    assert said("set", *theme, "training.learning_rate=3e-4", "augmentation.blur.enabled=true") == (
        "Learning rate: 0.001 → 0.0003\nBlur: off → on\n"
    )
    assert said("set", *theme, "search.training.learning_rate.high=0.1") == (
        "Search over “Learning rate”: 0.0001 to 0.01, evenly over powers of ten → "
        "0.0001 to 0.1, evenly over powers of ten\n"
    )
    wrong = shell.run("params", "set", *theme, "training.epochs=9", "training.epoch=0")
    assert wrong.returncode == 1 and "did you mean “epochs”" in wrong.stderr
    shown = said("show", *theme)
    assert "learning_rate: 0.0003" in shown and "epochs: 10  # passes over all training images" in shown
    first = said("history", *theme).strip().splitlines()[-3].split()[1]
    assert said("diff", *theme, "defaults", first).startswith("Learning rate: 0.001 → 0.0003")
    assert said("restore", *theme, first).startswith("Search over")
    assert said("diff", *theme, first) == "No setting differs.\n"
    assert json.loads(said("schema", "optuna_params"))["properties"]["trials"]["maximum"] == 1000


def test_where_no_server_runs_it_says_how_to_start_one(tmp_path: Path) -> None:
    answer = Shell("http://127.0.0.1:9", tmp_path).run("train", "--theme", "Shapes")
    assert answer.returncode == 1
    assert "make run" in answer.stderr and "Traceback" not in answer.stderr
