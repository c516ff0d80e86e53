"""Images from addresses: allowed hosts alone, public addresses alone, and no way round."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from core.errors import InvalidInput
from core.gateway import fetch
from tests.conftest import free_port


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        port = self.server.server_address[1]
        size = 0
        if self.path == "/big":
            size = 3_000
        status = 302 if self.path.startswith("/to-") else 404 if self.path == "/none" else 200
        self.send_response(status)
        targets = {
            "/to-image": "/image",
            "/to-inside": "http://169.254.169.254/latest/meta-data",
            "/to-other": f"http://other.test:{port}/image",
            "/to-file": "file:///etc/passwd",
            "/to-itself": "/to-itself",
        }
        if self.path in targets:
            self.send_header("Location", targets[self.path])
        if self.path == "/packed":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(f"{self.headers['Host']}".encode() + b"x" * size)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def get(url: str, hosts: set[str], **how: Any) -> bytes:
    """As if the loopback address were a public one."""
    named = {"resolve": lambda host, port: ["127.0.0.1"], "allowed": lambda address: address == "127.0.0.1"}
    return fetch.fetch(url, hosts, 2_000, **(named | how))


def test_an_image_comes_from_the_checked_address_under_the_name_that_was_asked_for(port: int) -> None:
    host = f"images.test:{port}"
    for path in ("image", "to-image"):
        assert get(f"http://{host}/{path}", {host}) == host.encode()
    assert get(f"http://IMAGES.test:{port}/image", {host}) == host.encode()
    v6 = f"[2001:db8::1]:{port}"
    assert get(f"http://{v6}/image", {v6}) == get(f"http://{v6.upper()}/image", {v6}).lower() == v6.encode()
    with pytest.raises(InvalidInput, match=r"private network"):  # of documents, and not allowed for once
        fetch.fetch(f"http://{v6}/image", {v6}, 2_000)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("to-inside", "may not be fetched from “169.254.169.254”"),
        ("to-other", "another host"),
        ("to-file", "no address"),
        ("to-itself", "leads on too often"),
        ("big", "larger than"),
        ("none", "answered with 404"),
        ("packed", "instead of an image"),
    ],
)
def test_what_leads_elsewhere_or_is_no_image_of_its_size_is_refused(port: int, path: str, told: str) -> None:
    hosts = {f"images.test:{port}", f"other.test:{port}"}
    with pytest.raises(InvalidInput, match=told):
        get(f"http://images.test:{port}/{path}", hosts)


def test_a_name_that_resolves_to_the_inside_is_not_connected_to(port: int) -> None:
    host = f"images.test:{port}"
    for inside in ("127.0.0.1", "169.254.169.254", "10.1.2.3", "::1", "fe80::1%eth0", "::ffff:127.0.0.1"):
        with pytest.raises(InvalidInput, match="private network"):
            fetch.fetch(f"http://{host}/image", {host}, 2_000, resolve=lambda *_: ["1.1.1.1", inside])  # noqa: B023
    turns = iter([["127.0.0.1"], ["10.0.0.1"]])  # after the redirect it is another one
    with pytest.raises(InvalidInput, match="private network"):
        get(f"http://{host}/to-image", {host}, resolve=lambda *_: next(turns))


@pytest.mark.parametrize(
    "name", ["127.0.0.1", "2130706433", "0177.0.0.1", "0x7f.1", "127.1", "localhost", "[::1]"]
)
def test_however_loopback_is_written_it_is_refused_although_it_was_allowed(port: int, name: str) -> None:
    url = f"http://{name}:{port}/image"
    with pytest.raises(InvalidInput, match=r"may not be fetched|no address"):
        fetch.fetch(url, (), 2_000)
    with pytest.raises(InvalidInput):
        fetch.fetch(url, {f"{name}:{port}"}, 2_000)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "images.test/a.png",
        "ftp://images.test/a",
        "http://",
        "http://a:b@images.test/",
        "//x",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="no address"):
        get(url, {"images.test"})


def test_a_host_that_is_away_or_sends_a_drop_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    host = f"images.test:{free_port()}"
    with pytest.raises(InvalidInput, match="could not be fetched"):
        get(f"http://{host}/image", {host})
    monkeypatch.setattr(fetch, "SECONDS", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not over.wait(0.05):
                connection.send(b"x")
            connection.close()

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        host = f"images.test:{server.getsockname()[1]}"
        with pytest.raises(InvalidInput, match="took longer"):
            get(f"http://{host}/image", {host})
        over.set()
        thread.join(10)
