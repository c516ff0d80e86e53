"""Deployments: what people want reaches the broker, what is seen comes back, predictions go over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pictures import png, zipped

from core import auth, ledger, production, registry, run_watch, serving, stages, themes
from core.db.tables import finetuning_jobs
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound, Unavailable
from core.gateway import lanes
from core.serving_protocol import IMAGES_PATH, SEEN_KEY, WANTED_KEY
from core.workbench import Workbench
from jobs.model_server import unframed
from tests.conftest import free_port
from tests.core.ab.rig import two_versions
from tests.steps import started


class ModelServer(ThreadingHTTPServer):
    """Answers like ours: “cat” for every image; what it was sent is kept."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.sent: list[list[bytes]] = []
        self.status = 200
        self.row: dict[str, Any] = {
            "label": "cat",
            "confidence": 0.75,
            "probabilities": [0.75, 0.25],
            "error": None,
        }
        self.meanwhile: Callable[[], object] = lambda: None
        """What happens while it thinks."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: ModelServer

    def do_POST(self) -> None:
        images = unframed(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == IMAGES_PATH
        self.server.sent.append(images)
        self.server.meanwhile()
        answer = json.dumps({"predictions": [self.server.row] * len(images)}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as it:
        thread = threading.Thread(target=it.serve_forever)
        thread.start()
        yield it
        it.shutdown()
        thread.join()


def version(wb: Workbench, trainer: auth.User) -> registry.Version:
    run = started(wb, trainer)
    [row] = run_watch.rows_where(wb, finetuning_jobs.c.id == run.id)
    result = {
        "metrics": {"test": {"accuracy": 1.0}},
        "model": {"name": "veritrain-theme-1", "version": 1, "uri": "models:/veritrain-theme-1/1"},
    }
    wb.db.write(lambda connection: registry.record(connection, wb.files, row, result))
    found = registry.of_run(wb, run.id)
    assert found is not None
    return found


def deployed(wb: Workbench, trainer: auth.User, url: str) -> serving.Deployment:
    made = serving.deploy(wb, trainer, version(wb, trainer).id)
    seen(wb, made.id, status="up", url=url, detail=None)
    return serving.get(wb, made.id)


def seen(wb: Workbench, deployment_id: int, **state: str | None) -> None:
    wb.broker.hset(SEEN_KEY, str(deployment_id), json.dumps(state))
    serving.sync(wb)


def test_a_deployment_from_wish_to_end(wb: Workbench, trainer: auth.User, viewer: auth.User) -> None:
    model = version(wb, trainer)
    with pytest.raises(NotAllowed):
        serving.deploy(wb, viewer, model.id)
    with pytest.raises(NotFound):
        serving.deploy(wb, trainer, 99)
    made = serving.deploy(wb, trainer, model.id)
    assert (made.status, made.version) == ("starting", model)
    assert serving.deploy(wb, trainer, model.id).id == made.id  # twice is once
    wanted = {str(made.id).encode(): json.dumps({"uri": model.uri, "files": None, "replicas": 1}).encode()}
    assert wb.broker.hgetall(WANTED_KEY) == wanted
    with pytest.raises(Unavailable, match="is being started, which can take up to half a minute"):
        serving.predict(wb, viewer, made.id, [("a.png", png(1))])
    seen(wb, made.id, status="failed", url=None, detail="no such model")
    with pytest.raises(Unavailable, match="cannot be started"):
        serving.predict(wb, viewer, made.id, [("a.png", png(1))])
    assert serving.deployments(wb, model.theme_id)[0].detail == "no such model"
    wb.broker.flushall()  # a broker that lost everything is told again
    serving.sync(wb)
    assert wb.broker.hgetall(WANTED_KEY) == wanted
    assert serving.get(wb, made.id).status == "starting"
    assert serving.stop(wb, trainer, made.id).status == "down"
    assert wb.broker.hgetall(WANTED_KEY) == {}
    seen(wb, made.id, status="up", url="http://127.0.0.1:1", detail=None)  # said too late
    assert serving.get(wb, made.id).status == "down"
    with pytest.raises(Conflict, match="was stopped"):
        serving.predict(wb, viewer, made.id, [("a.png", png(1))])
    assert serving.deployments(wb) == []


def test_predictions_keep_their_order_and_a_bad_file_spoils_only_its_own(
    wb_duckdb: Workbench, trainer: auth.User, viewer: auth.User, server: ModelServer
) -> None:
    deployment = deployed(wb_duckdb, trainer, server.url)
    archive = zipped({f"{n}.png": png(n) for n in range(40)} | {"notes.txt": b"hello"})
    files = [("first.png", png(100)), ("letter.jpg", b"Dear all,"), ("many.zip", archive), ("empty.png", b"")]
    answers = serving.predict(wb_duckdb, viewer, deployment.id, files)
    names = ["first.png", "letter.jpg", *(f"{n}.png" for n in range(40)), "notes.txt", "empty.png"]
    assert [answer.name for answer in answers] == names
    bad = {answer.name: answer.error for answer in answers if answer.error}
    assert list(bad) == ["letter.jpg", "notes.txt", "empty.png"]
    assert all(name in str(reason) for name, reason in bad.items())
    good = answers[0]
    assert (good.label, good.confidence, good.probabilities) == ("cat", 0.75, {"cat": 0.75, "dog": 0.25})
    assert [image for part in server.sent for image in part] == [png(100), *(png(n) for n in range(40))]
    assert max(map(len, server.sent)) <= 32
    too_many = (("a.png", png(1)) for _ in range(wb_duckdb.settings.predict_images + 1))
    with pytest.raises(InvalidInput, match="at most 1000"):
        serving.predict(wb_duckdb, viewer, deployment.id, too_many)


def test_a_server_that_is_away_or_unwell_is_told_in_one_sentence(
    wb_duckdb: Workbench, trainer: auth.User, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "PATIENCE_SECONDS", 0.0)
    deployment = deployed(wb_duckdb, trainer, server.url)
    server.status = 500
    with pytest.raises(Unavailable, match=r"refused the request \(500\)"):
        serving.predict(wb_duckdb, trainer, deployment.id, [("a.png", png(1))])
    seen(wb_duckdb, deployment.id, status="up", url=f"http://127.0.0.1:{free_port()}", detail=None)
    with pytest.raises(Unavailable, match="does not answer"):
        serving.predict(wb_duckdb, trainer, deployment.id, [("a.png", png(1))])


def test_deleting_a_theme_ends_its_model_servers(wb: Workbench, trainer: auth.User) -> None:
    made = deployed(wb, trainer, "http://127.0.0.1:1")
    wb.db.write(
        lambda connection: connection.execute(finetuning_jobs.update().values(status="succeeded")) and None
    )
    theme = themes.get(wb, made.version.theme_id)
    themes.delete(wb, trainer, theme.id, confirm_name=theme.name)
    serving.sync(wb)
    assert wb.broker.hgetall(WANTED_KEY) == {}
    assert serving.get(wb, made.id).desired == "down"


def test_the_version_in_production_answers_and_the_one_before_until_it_is_up(
    wb: Workbench, trainer: auth.User, viewer: auth.User, server: ModelServer
) -> None:
    _, [one, two] = two_versions(wb, trainer)
    name = registry.get(wb, one).model_name

    def answered() -> int:
        found = production.predict(wb, viewer, name, [("a.png", png(1))])
        assert [each.label for each in found.predictions] == ["cat"]
        return found.version.id

    with pytest.raises(NotFound, match="no model “nobody”"):
        production.predict(wb, viewer, "nobody", [])
    with pytest.raises(Conflict, match="No version of"):
        answered()
    stages.promote(wb, trainer, one, "production", "the first")
    with pytest.raises(Conflict, match=r"Version 1 of .* no server for it is up"):
        answered()
    seen(wb, serving.deploy(wb, trainer, one, 2).id, status="up", url=server.url, detail=None)
    assert answered() == one and production.served(wb, registry.get(wb, one).model_id)

    with wb.db.read() as connection:
        assert ledger.before(connection, registry.get(wb, one).model_id) is None
    admin = replace(trainer, role=auth.ADMIN)
    production.promote(wb, admin, two, "production", "the second", override="no test")
    second = serving.deployments(wb)[0]
    assert (second.version.id, second.replicas) == (two, 2)  # served as the one that it replaces
    seen(wb, second.id, status="starting", url=None, detail=None)
    assert answered() == one  # it goes on until the new one is warm
    seen(wb, second.id, status="up", url=server.url, detail=None)
    assert answered() == two

    serving.stop(wb, trainer, serving.deployments(wb)[-1].id)  # the former one
    assert production.way_back(wb, registry.get(wb, two)) == production.WayBack(registry.get(wb, one), False)
    entry = production.roll_back(wb, trainer, two, "it answers nonsense")
    assert (entry.version_id, entry.to_stage, entry.evidence["rolled_back"]) == (one, "production", two)
    first = serving.deployments(wb)[0]
    assert first.version.id == one and first.status == "starting"  # served again without a further press
    assert answered() == two
    seen(wb, first.id, status="up", url=server.url, detail=None)
    assert answered() == one and ledger.verify(wb) == []
