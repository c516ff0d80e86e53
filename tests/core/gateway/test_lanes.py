"""Requests to a model's servers: joined while one is busy, each given its own rows, spread over replicas."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from core.errors import Unavailable
from core.gateway import lanes
from core.gateway.breaker import Breaker
from core.gateway.lanes import Lane, Options, Row
from jobs.model_server import unframed
from tests.conftest import free_port
from tests.steps import wait_for

OPTIONS = Options(images=8, wait=0.005, timeout=20)


class Server(ThreadingHTTPServer):
    """Gives each image back as its label; holds every request until it is let go."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.batches: list[list[bytes]] = []
        self.open = threading.Event()
        self.open.set()
        self.status: Callable[[list[bytes]], int] = lambda images: 200
        """0 breaks the connection instead."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        images = unframed(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.batches.append(images)
        self.server.open.wait(20)
        status = self.server.status(images)
        if not status:
            self.connection.close()
            self.close_connection = True
            return
        rows = [{"label": image.decode()} for image in images if image != b"silent"]
        answer = json.dumps({"predictions": rows}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    found = [Server(), Server()]
    threads = [threading.Thread(target=server.serve_forever) for server in found]
    for thread in threads:
        thread.start()
    yield found
    for server, thread in zip(found, threads, strict=True):
        server.open.set()
        server.shutdown()
        thread.join()
        server.server_close()


def labels(future: Future[list[Row]]) -> list[str]:
    return [row["label"] for row in future.result(20)]


def test_what_arrives_while_the_server_is_busy_goes_together_and_each_gets_its_own(
    servers: list[Server],
) -> None:
    server, lane = servers[0], Lane(OPTIONS)
    server.open.clear()
    first = lane.submit([server.url], [b"first"])
    wait_for(lambda: server.batches, 20)  # alone and at once: nobody else was there
    others = [lane.submit([server.url], [b"%d" % n, b"%d too" % n]) for n in range(5)]
    gone = lane.submit([server.url], [b"gone"])
    assert gone.cancel()
    server.open.set()
    assert labels(first) == ["first"]
    assert [labels(other) for other in others] == [[str(n), f"{n} too"] for n in range(5)]
    assert [len(batch) for batch in server.batches] == [1, 8, 2]  # at most eight together
    assert labels(lane.submit([server.url], [])) == []


def test_one_that_the_server_refuses_spoils_no_other_and_does_not_open_the_breaker(
    servers: list[Server],
) -> None:
    server, lane = servers[0], Lane(OPTIONS, Breaker(failures=3))
    server.status = lambda images: 400 if b"bad" in images else 200
    for _ in range(3):
        server.open.clear()
        before = len(server.batches)
        asked = [lane.submit([server.url], [b"first"])]
        wait_for(lambda: len(server.batches) > before, 20)  # noqa: B023
        asked += [lane.submit([server.url], [name]) for name in (b"good", b"bad", b"fine")]
        server.open.set()
        assert [labels(asked[n]) for n in (0, 1, 3)] == [["first"], ["good"], ["fine"]]
        with pytest.raises(Unavailable, match=r"refused the request \(400\)"):
            asked[2].result(20)


def test_a_broken_connection_is_tried_again_at_the_other_replica_which_then_answers_alone(
    servers: list[Server],
) -> None:
    lane = Lane(OPTIONS)
    urls = [server.url for server in servers]
    servers[0].status = lambda images: 0
    for n in range(6):
        assert labels(lane.submit(urls, [b"%d" % n])) == [str(n)]
    assert len(servers[0].batches) == 1  # passed over while it rests
    assert len(servers[1].batches) == 6


def test_a_server_that_is_gone_is_waited_for() -> None:
    lane, port = Lane(OPTIONS), free_port()
    asked = [lane.submit([f"http://127.0.0.1:{port}"], [b"%d" % n]) for n in range(3)]
    time.sleep(0.5)
    assert not any(each.done() for each in asked)
    with Server(port) as back:
        threading.Thread(target=back.serve_forever).start()
        assert [labels(each) for each in asked] == [["0"], ["1"], ["2"]]
        back.shutdown()


def test_what_may_have_ended_two_servers_is_not_sent_to_a_third(servers: list[Server]) -> None:
    lane = Lane(OPTIONS)
    for server in servers:
        server.status = lambda images: 0
    with pytest.raises(Unavailable, match="does not answer"):
        lane.submit([server.url for server in servers], [b"a"]).result(20)
    assert [server.batches for server in servers] == [[[b"a"]], [[b"a"]]]


def test_an_answer_that_lacks_a_row_is_nobodys(servers: list[Server]) -> None:
    lane = Lane(OPTIONS)
    with pytest.raises(Unavailable, match="cannot be read"):
        lane.submit([servers[0].url], [b"a", b"silent"]).result(20)
    assert labels(lane.submit([servers[0].url], [b"a"])) == ["a"]


def test_replicas_work_side_by_side(servers: list[Server]) -> None:
    lane = Lane(OPTIONS)
    for server in servers:
        server.open.clear()
    asked = []
    for n in range(2):  # the second comes while a server is busy with the first
        asked.append(lane.submit([server.url for server in servers], [b"%d" % n]))
        wait_for(lambda: sum(len(server.batches) for server in servers) == n + 1, 20)  # noqa: B023 — called at once
    assert [len(server.batches) for server in servers] == [1, 1]
    for server in servers:
        server.open.set()
    assert [labels(each) for each in asked] == [["0"], ["1"]]


def test_the_breaker_opens_after_failures_in_a_row_and_one_request_closes_it_again(
    servers: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "PATIENCE_SECONDS", 0.0)
    now = [0.0]
    lane = Lane(OPTIONS, Breaker(failures=3, seconds=2, clock=lambda: now[0]))
    away = [f"http://127.0.0.1:{free_port()}"]
    for _ in range(3):
        with pytest.raises(Unavailable, match="up to half a minute") as told:
            lane.submit(away, [b"x"]).result(20)
        assert told.value.fields["seconds"] == 10
    now[0] = 0.5
    with pytest.raises(Unavailable, match="up to half a minute"):
        lane.submit(away, [b"x"])  # at once
    now[0] = 2.5  # half open
    servers[0].open.clear()
    trial = lane.submit([servers[0].url], [b"trial"])
    with pytest.raises(Unavailable):
        lane.submit([servers[0].url], [b"a second one"])
    servers[0].open.set()
    assert labels(trial) == ["trial"]
    assert labels(lane.submit([servers[0].url], [b"closed"])) == ["closed"]
    servers[0].status = lambda images: 500
    for _ in range(3):
        with pytest.raises(Unavailable, match="refused"):
            lane.submit([servers[0].url], [b"x"]).result(20)
    now[0] = 3.0
    with pytest.raises(Unavailable, match="Try again in 2 s") as refused:  # it is there, and may soon be well
        lane.submit([servers[0].url], [b"x"])
    assert refused.value.fields["seconds"] == 2


def test_a_server_that_takes_too_long_and_one_with_too_much_to_do(
    servers: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    servers[0].open.clear()
    slow = Lane(Options(images=8, wait=0, timeout=0.2))
    with pytest.raises(Unavailable, match="longer than 0 s"):
        slow.submit([servers[0].url], [b"x"]).result(20)
    monkeypatch.setattr(lanes, "MAX_WAITING", 10)
    lane = Lane(OPTIONS)
    first = lane.submit([servers[0].url], [b"first"])
    wait_for(lambda: len(servers[0].batches) == 2, 20)
    waiting = [lane.submit([servers[0].url], [b"x"] * 5) for _ in range(2)]
    with pytest.raises(Unavailable, match="too much to do"):
        lane.submit([servers[0].url], [b"y"])
    servers[0].open.set()
    assert labels(first) == ["first"] and [len(labels(each)) for each in waiting] == [5, 5]


def test_a_worker_without_work_ends(servers: list[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "WORKER_SECONDS", 0.05)
    lane = Lane(OPTIONS)

    def ended() -> bool:
        return lane._workers == 0

    for _ in range(3):
        assert labels(lane.submit([servers[0].url], [b"x"])) == ["x"]
        wait_for(ended, 20)
        time.sleep(0.01)
