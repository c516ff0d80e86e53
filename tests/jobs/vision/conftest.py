from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.settings import Settings
from tests.jobs.vision.helpers import Finished, make_spec, run


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's real tracking store and registry in one SQLite file, without a server before it."""
    import jobs.vision  # noqa: F401 (first, so that MLflow sends no usage figures)

    folder = tmp_path_factory.mktemp("mlflow")
    url = f"sqlite:///{folder / 'mlflow.db'}"
    from mlflow import MlflowClient

    MlflowClient(url).create_experiment("veritrain/theme-1", artifact_location=str(folder / "artifacts"))
    yield url


@pytest.fixture(scope="session")
def vision_settings(tmp_path_factory: pytest.TempPathFactory, broker_url: str, mlflow_url: str) -> Settings:
    folder: Path = tmp_path_factory.mktemp("vision")
    return replace(
        Settings.from_env({}),
        data_dir=folder / "data",
        artifacts_dir=folder / "artifacts",
        files_url=str(folder / "data" / "files"),
        # A database of its own: other tests leave their attempts, which would fence these jobs off.
        redis_url=broker_url.removesuffix("/0") + "/1",
        mlflow_url=mlflow_url,
    )


@pytest.fixture(scope="session")
def finished(vision_settings: Settings) -> Finished:
    """A run that nothing disturbed."""
    spec = make_spec(vision_settings, 1)
    return Finished(vision_settings, spec, run(spec, 1, vision_settings))
