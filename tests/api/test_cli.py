"""The command line does what the screens do, through the same interface."""

from __future__ import annotations

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


def test_where_no_server_runs_it_says_how_to_start_one(tmp_path: Path) -> None:
    answer = Shell("http://127.0.0.1:9", tmp_path).run("train", "--theme", "Shapes")
    assert answer.returncode == 1
    assert "make run" in answer.stderr and "Traceback" not in answer.stderr
