"""The prediction gateway over HTTP: what it takes, what it answers, and what hostile requests are told."""

from __future__ import annotations

import base64
import json
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from pictures import encoded, picture, png, zipped

from core import auth, registry, serving, stages
from core.gateway import fetch, lanes, observed
from core.gateway.observed import Observed, Told
from core.serving_protocol import SEEN_KEY
from core.settings import Settings
from core.workbench import Workbench, set_current
from tests.api.clients import Client, refused
from tests.app import App
from tests.conftest import PASSWORD
from tests.core.ab.rig import two_versions
from tests.core.test_serving import ModelServer, server

__all__ = ["server"]

ROW = {"label": "cat", "confidence": 0.75, "probabilities": [0.75, 0.25], "error": None}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def bomb() -> bytes:
    """A PNG of 30,000 × 30,000 pixels in some kilobytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    side = (30_000).to_bytes(4, "big")
    pixels = zlib.compress(b"\0" * 3_750_000, 9)
    head = chunk(b"IHDR", side + side + b"\1\0\0\0\0")
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def in_production(wb: Workbench, actor: auth.User, url: str) -> str:
    """The name of a model whose version in production is up at `url`."""
    _, [one, _two] = two_versions(wb, actor)
    stages.promote(wb, actor, one, "production", "the first")
    made = serving.deploy(wb, actor, one)
    wb.broker.hset(SEEN_KEY, str(made.id), json.dumps({"status": "up", "url": url, "detail": None}))
    serving.sync(wb)
    return registry.get(wb, one).model_name


@pytest.fixture
def model(wb_duckdb: Workbench, trainer: auth.User, server: ModelServer) -> str:
    return in_production(wb_duckdb, trainer, server.url)


@pytest.fixture
def seen() -> Iterator[list[Observed]]:
    found: list[Observed] = []
    observed.listeners.append(found.append)
    yield found
    observed.listeners.remove(found.append)


def with_settings(wb: Workbench, **values: Any) -> None:
    set_current(replace(wb, settings=replace(wb.settings, **values)))


def test_images_come_as_files_base64_and_archives_and_each_bad_one_has_its_reason(
    client: Client, viewer: auth.User, model: str, server: ModelServer, seen: list[Observed]
) -> None:
    http = client(viewer)
    files = [
        ("files", ("a.png", png(1, (30, 20)))),
        ("files", ("b.txt", b"hello")),
        ("files", ("c.zip", zipped({"d.png": png(2)}))),
    ]
    answer = http.post(f"predict/{model}", files=files).json()
    assert (answer["model"], answer["version"]) == (model, 1)
    assert [each["name"] for each in answer["predictions"]] == ["a.png", "b.txt", "d.png"]
    first, bad, _ = answer["predictions"]
    assert first == {
        "name": "a.png",
        "label": "cat",
        "confidence": 0.75,
        "probabilities": {"cat": 0.75, "dog": 0.25},
        "error": None,
    }
    assert "b.txt" in bad["error"] and bad["label"] is None
    body = {
        "images": [
            b64(png(1)),
            {"name": "two.png", "base64": "data:image/png;base64," + b64(png(2))},
        ]
    }
    answer = http.post(f"predict/{model}", json=body).json()
    assert [each["name"] for each in answer["predictions"]] == ["image 1", "two.png"]
    assert server.sent[-1] == [png(1), png(2)]
    one, _ = seen
    assert (one.model, one.status, one.deployment_id is not None) == (model, 200, True)
    assert one.predictions[0] == Told("cat", 0.75, 30, 20)
    assert one.predictions[1] == Told(None, None)


def test_mlflows_protocol_in_all_its_forms(client: Client, viewer: auth.User, model: str) -> None:
    http = client(viewer)
    image = b64(png(1))
    forms: list[dict[str, Any]] = [
        {"dataframe_split": {"columns": ["image"], "data": [[image], [image]]}},
        {
            "dataframe_split": {"index": [0, 1], "columns": ["image"], "data": [[image], [image]]},
            "params": {},
        },
        {"dataframe_records": [{"image": image}, {"image": image}]},
        {"dataframe_split": {"columns": ["age", "image"], "data": [[3, image], [4, image]]}},
        {"instances": [{"image": image}, {"image": image}]},
        {"instances": [image, image]},
        {"inputs": [image, image]},
        {"inputs": {"image": [image, image]}},
        {"inputs": [{"image": image}, {"image": image}]},
    ]
    for form in forms:
        answer = http.post(f"predict/{model}/invocations", json=form)
        assert answer.json() == {"predictions": [ROW, ROW]}, form
    known = http.post("predict/nobody/invocations", json=forms[0])
    assert (known.status_code, known.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


NO_FRAMES: list[tuple[str | bytes, str]] = [
    ('{"dataframe_split": {"columns": ["image"], "data": [[3]]}}', "no text"),
    ('{"dataframe_split": {"columns": ["image"], "data": [[NaN]]}}', "no “NaN”"),
    ('{"dataframe_split": {"columns": ["image"], "data": [[null]]}}', "no text"),
    ('{"dataframe_split": {"columns": ["picture"], "data": [["aGk="]]}}', "there is “picture”"),
    ('{"dataframe_split": {"columns": ["image"], "data": [["aGk=", "aGk="]]}}', "Each row"),
    ('{"dataframe_split": [["aGk="]]}', "an object with"),
    ('{"dataframe_records": [{"age": 3}]}', "there is “age”"),
    ('{"dataframe_records": ["aGk="]}', "list of objects"),
    ('{"instances": []}', "no rows"),
    ('{"inputs": {"image": [Infinity]}}', "no “Infinity”"),
    ('{"inputs": 3}', "an object with “image”"),
    ('{"instances": [], "inputs": []}', "exactly one"),
    ('{"image": "aGk="}', "exactly one"),
    ('{"instances": [{"image": "%%%"}]}', "not base64"),
    ('{"instances": [{"image": "aGVsbG8="}]}', "is not an image"),
    (json.dumps({"inputs": [b64(zipped({"a.png": png(1)}))]}), "is an archive"),
    ("[1]", "no JSON object"),
    ("{", "no JSON"),
    (b"\xff", "UTF-8"),
    ("[" * 200_000, "nested too deeply"),
]


def test_what_mlflows_protocol_cannot_be_is_refused_as_mlflow_does_it(
    client: Client, viewer: auth.User, model: str, server: ModelServer
) -> None:
    http = client(viewer)
    headers = {"Content-Type": "application/json"}
    for body, told in NO_FRAMES:
        answer = http.post(f"predict/{model}/invocations", content=body, headers=headers)
        assert answer.status_code == 400 and answer.json()["error_code"] == "BAD_REQUEST", body
        assert told in answer.json()["message"]
    assert not server.sent


NO_IMAGES: list[tuple[Any, str]] = [
    ({"texts": ["hello"]}, "takes no “texts”"),
    ({"user_ids": [7]}, "takes no “user_ids”"),
    ({}, "missing or empty"),
    ({"images": []}, "missing or empty"),
    ({"images": ["aGk="], "top": 5}, "no field “top”"),
    ({"images": [7]}, "neither base64"),
    ({"images": [{"name": "a"}]}, "either “base64” or “url”"),
    ({"images": [{"name": 7, "base64": "aGk="}]}, "is no text of up to"),
    ({"images": [{"base64": "?"}]}, "not base64"),
    ({"images": [b64(b"Dear all,")]}, "is not an image"),
    ({"images": [b64(bomb())]}, "50 megapixels"),
    ({"images": [b64(encoded(picture(1, (640, 480)), "TIFF")[:99])]}, "“image 1”"),
    ({"images": ["aGk="] * 1_001}, "at most 1000"),
    ({"images": [{"url": "http://1.1.1.1/"}] * 33}, "At most 32"),
]


def test_json_that_holds_no_images_is_told_what_is_wrong(
    client: Client, viewer: auth.User, model: str, server: ModelServer
) -> None:
    http = client(viewer)
    for body, told in NO_IMAGES:
        assert told in refused(http.post(f"predict/{model}", json=body), 422)
    assert not server.sent


def test_forms_that_hold_no_images_are_told_what_is_wrong(
    client: Client, viewer: auth.User, model: str, server: ModelServer
) -> None:
    http = client(viewer)
    assert "50 megapixels" in refused(http.post(f"predict/{model}", files={"files": bomb()}), 422)
    assert "no image in what" in refused(http.post(f"predict/{model}", files={"files": zipped({})}), 422)
    assert "field “files”" in refused(
        http.post(f"predict/{model}", data={"files": "text"}, files={"x": b""}), 422
    )
    assert "text/plain" in refused(
        http.post(f"predict/{model}", content=b"x", headers={"Content-Type": "text/plain"}), 422
    )
    broken = {"Content-Type": "multipart/form-data"}
    assert "could not be read" in refused(http.post(f"predict/{model}", content=b"x", headers=broken), 422)
    assert (
        http.post(f"predict/{model}/invocations", files={"files": b"x"}).json()["error_code"] == "BAD_REQUEST"
    )
    assert not server.sent


def test_an_image_that_only_the_model_cannot_read_is_named(
    client: Client, viewer: auth.User, model: str, server: ModelServer
) -> None:
    torn = png(1, (200, 200))[:-2_000]
    server.row = dict.fromkeys(ROW) | {"error": "not an image"}
    http = client(viewer)
    assert "“torn.png” is damaged" in refused(
        http.post(f"predict/{model}", files={"files": ("torn.png", torn)}), 422
    )
    told = refused(http.post(f"predict/{model}", files={"files": ("odd.png", png(1))}), 422)
    assert "model could not read “odd.png”" in told
    answer = http.post(f"predict/{model}/invocations", json={"instances": [{"image": b64(torn)}]})
    assert answer.status_code == 400 and "is damaged" in answer.json()["message"]


def test_addresses_are_fetched_from_allowed_hosts_alone(
    wb_duckdb: Workbench,
    client: Client,
    viewer: auth.User,
    model: str,
    server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302 if self.path == "/away" else 200)
            self.send_header("Location", "http://169.254.169.254/latest/meta-data/")
            self.end_headers()
            self.wfile.write(png(5))

        def log_message(self, *_: Any) -> None:
            pass

    http = client(viewer)

    def told(url: str) -> str:
        return refused(http.post(f"predict/{model}", json={"images": [{"url": url}]}), 422)

    assert "may not be fetched from “example.org”" in told("https://example.org/a.png")
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        port = site.server_port
        allowed = ("169.254.169.254", f"localhost:{port}", f"2130706433:{port}", f"127.0.0.1:{port}")
        with_settings(wb_duckdb, predict_hosts=allowed)
        for host in allowed:  # allowed by name, and inside all the same
            assert "private network" in told(f"http://{host}/a.png")
        monkeypatch.setitem(fetch.fetch.__kwdefaults__, "allowed", lambda address: address == "127.0.0.1")
        monkeypatch.setitem(fetch.fetch.__kwdefaults__, "resolve", lambda host, port: ["127.0.0.1"])
        assert "another host" in told(f"http://localhost:{port}/away")
        body = {
            "images": [
                {"name": "far.png", "url": f"http://localhost:{port}/a.png"},
                {"url": "file:///etc/passwd"},
            ]
        }
        far, file = http.post(f"predict/{model}", json=body).json()["predictions"]
        assert (far["name"], far["label"]) == ("far.png", "cat") and "no address" in file["error"]
        assert server.sent == [[png(5)]]
        site.shutdown()
        thread.join()


def test_each_key_has_its_own_limit_and_is_told_when_to_come_again(
    wb_duckdb: Workbench,
    client: Client,
    viewer: auth.User,
    trainer: auth.User,
    model: str,
    seen: list[Observed],
) -> None:
    with_settings(wb_duckdb, predict_per_minute=2)
    one, other = client(viewer), client(trainer)
    body = {"images": [b64(png(1))]}
    assert [one.post(f"predict/{model}", json=body).status_code for _ in range(3)] == [200, 200, 429]
    answer = one.post(f"predict/{model}", json=body)
    assert "2 requests a minute" in refused(answer, 429) and 1 <= int(answer.headers["Retry-After"]) <= 60
    assert other.post(f"predict/{model}", json=body).status_code == 200
    limited = one.post(f"predict/{model}/invocations", json={"instances": [{"image": body["images"][0]}]})
    assert limited.json()["error_code"] == "REQUEST_LIMIT_EXCEEDED" and limited.headers["Retry-After"]
    assert [each.status for each in seen] == [200, 200, 429, 429, 200, 429]


def test_a_server_that_is_away_is_503_with_the_time_to_come_again(
    wb_duckdb: Workbench,
    client: Client,
    viewer: auth.User,
    model: str,
    server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lanes, "PATIENCE_SECONDS", 0.0)
    http = client(viewer)
    body = {"images": [b64(png(1))]}
    http.post(f"predict/{model}", json=body).raise_for_status()
    server.shutdown()
    server.socket.close()
    for _ in range(7):
        answer = http.post(f"predict/{model}", json=body)
        assert "up to half a minute" in refused(answer, 503) and answer.headers["Retry-After"] == "10"
    [deployment] = serving.deployments(wb_duckdb)
    state = {"status": "restarting", "url": None, "detail": None}
    wb_duckdb.broker.hset(SEEN_KEY, str(deployment.id), json.dumps(state))
    serving.sync(wb_duckdb)
    answer = http.post(f"predict/{model}", json=body)
    assert "is being started" in refused(answer, 503) and answer.headers["Retry-After"] == "10"


def test_a_share_of_the_requests_is_logged_without_the_image(
    wb_duckdb: Workbench, client: Client, viewer: auth.User, model: str
) -> None:
    http = client(viewer)
    grey = encoded(picture(1, (30, 20)).convert("L").point(lambda _: 51))
    with_settings(wb_duckdb, predict_sample=0.0)
    http.post(f"predict/{model}", files={"files": grey})
    with_settings(wb_duckdb, predict_sample=1.0)
    http.post(f"predict/{model}", files={"files": grey}).raise_for_status()
    http.post(f"predict/{model}", files={"files": b"hello"})
    file = wb_duckdb.settings.data_dir / "logs" / "predictions.jsonl"
    good, bad = map(json.loads, file.read_text().splitlines())
    told = {"label": "cat", "confidence": 0.75, "width": 30, "height": 20, "brightness": 0.2}
    assert good["images"] == [told] and good["status"] == 200 and good["ms"] > 0 and good["version"]
    assert (bad["model"], bad["status"], bad["images"][0]["label"]) == (model, 422, None)


def test_servers_of_a_deployment_are_added_and_taken_away(
    client: Client, trainer: auth.User, model: str, wb_duckdb: Workbench
) -> None:
    http = client(trainer)
    [deployment] = serving.deployments(wb_duckdb)
    for path in (f"{base}/{deployment.version.id}/deploy" for base in ("models", "v1/admin/models")):
        more = http.post(path, params={"replicas": 3}).json()
        assert (more["id"], more["replicas"]) == (deployment.id, 3)
        assert http.post(path).json()["replicas"] == 3  # nothing was said
        assert http.post(path, params={"replicas": 1}).json()["replicas"] == 1
        for wrong in (0, 9, 10**30):
            assert "by 1 to 8 servers" in refused(http.post(path, params={"replicas": wrong}), 422)


def test_a_gigabyte_is_refused_without_being_read_into_memory(
    tmp_path: Path, broker_url: str, server: ModelServer
) -> None:
    app = App(tmp_path, broker_url)
    folders = {"VERITRAIN_DATA_DIR": tmp_path / "data", "VERITRAIN_ARTIFACTS_DIR": tmp_path / "artifacts"}
    wb = Workbench.open(
        Settings.from_env({"REDIS_URL": broker_url} | {k: str(v) for k, v in folders.items()})
    )
    admin = auth.create_first_admin(wb, "Ada", PASSWORD, "")
    token = auth.issue_token(wb, admin, "load")
    path = f"/api/predict/{in_production(wb, admin, server.url)}"
    wb.close()
    app.start()
    process = psutil.Process(app.process.pid)

    def told(kind: str, length: str, chunks: int) -> str:
        """The answer, which may come while we are still sending."""
        with socket.create_connection(("127.0.0.1", app.port)) as connection:
            lines = (
                f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{app.port}", f"Authorization: Bearer {token}",
                "Connection: close", f"Content-Type: {kind}", length, "", "",
            )  # fmt: skip
            connection.sendall("\r\n".join(lines).encode())
            with suppress(OSError):
                for _ in range(chunks):
                    connection.sendall(b"100000\r\n" + b"x" * 2**20 + b"\r\n")
            connection.settimeout(30)
            answer = b""
            with suppress(ConnectionResetError):
                while part := connection.recv(65_536):
                    answer += part
            return answer.decode()

    try:
        headers = {"Authorization": f"Bearer {token}"}
        httpx.post(app.url + path, files={"files": png(1)}, headers=headers).raise_for_status()
        before = process.memory_info().rss
        form = "multipart/form-data; boundary=x"
        for kind in ("application/json", form):
            assert told(kind, f"Content-Length: {2**30}", 0).startswith("HTTP/1.1 413")
        assert told("application/json", "Transfer-Encoding: chunked", 1_024).startswith("HTTP/1.1 413")
        assert process.memory_info().rss - before < 200 * 2**20
        again = httpx.post(app.url + path, files={"files": png(1)}, headers=headers)
        assert again.json()["predictions"][0]["label"] == "cat"
    finally:
        app.stop()
