"""What the documents name exists, and what exists is named."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from core.addresses import SCREENS
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_setting_is_in_the_readme() -> None:
    source = (ROOT / "core" / "settings.py").read_text(encoding="utf-8")
    for name in set(re.findall(r'"((?:VERITRAIN|REDIS|MLFLOW)_[A-Z_]+)"', source)):
        assert f"`{name}`" in README, name


def test_every_benchmark_is_in_the_readme_and_runs_with_make() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for path in (ROOT / "benchmarks").glob("*.py"):
        if "__main__" in path.read_text(encoding="utf-8"):
            assert f"`{path.stem}`" in README, path.stem
            assert path.stem in makefile, path.stem


def test_every_dependency_has_its_reason() -> None:
    decisions = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8").lower()
    lines = (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    for line in lines:
        name = re.match(r"[a-z0-9-]+", line)
        if name:
            assert name[0] in decisions, name[0]


def test_every_screen_has_its_file() -> None:
    for screen in SCREENS:
        assert (ROOT / "pages" / screen.file).exists(), screen.file


@pytest.mark.slow
def test_benchmarks_start_as_a_person_starts_them() -> None:
    """Outside pytest, which adds the folder of the tests to where modules are looked for."""
    each = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))
    source = "; ".join(f"import benchmarks.{name}" for name in each if name != "__init__")
    subprocess.run([sys.executable, "-c", source], cwd=ROOT, check=True)
