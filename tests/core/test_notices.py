"""What happened is told: signed, at least once, in spite of kill -9, and never to this machine's own services."""

from __future__ import annotations

import json
import os
import re
import signal
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import sqlalchemy as sa

from core import auth, ledger, registry, serving, stages
from core.errors import InvalidInput, NotAllowed, NotFound, Unavailable
from core.notices import delivery, outbox, signing, targets, webhooks
from core.workbench import Workbench
from tests.conftest import ROOT
from tests.core.test_serving import seen, version


class Receiver(ThreadingHTTPServer):
    """Takes webhooks; `status` is what it answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Takes)
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 204

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class Takes(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as it:
        thread = threading.Thread(target=it.serve_forever)
        thread.start()
        yield it
        it.shutdown()
        thread.join()


def near(wb: Workbench) -> Workbench:
    """The same, with webhooks to this machine allowed."""
    return replace(wb, settings=replace(wb.settings, local_webhooks=True))


def due_now(wb: Workbench) -> None:
    """As if the pause before the next try were over."""
    early = sa.text("UPDATE notices SET next_at = created_at WHERE next_at IS NOT NULL")
    wb.db.write(lambda connection: connection.execute(early) and None)


def documented() -> Any:
    """The lines of the README that check a signature."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?def verify.*?)```", readme, re.S)
    names: dict[str, Any] = {}
    exec(code, names)
    return names["verify"]


def test_signatures_are_those_of_standard_webhooks_and_the_readme_checks_them() -> None:
    secret, number, body = (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        '{"test": 2432232314}',
    )
    published = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    headers = signing.headers(secret, number, 1614265330, body)
    assert headers["webhook-signature"] == published
    verify = documented()
    assert verify(secret, headers, body.encode())
    assert not verify(secret, headers, body.encode() + b" ")
    assert not verify(secret, headers | {"webhook-timestamp": "1614265331"}, body.encode())


def test_what_happens_reaches_the_receiver_once_in_order_and_signed(
    wb: Workbench, trainer: auth.User, admin: auth.User, receiver: Receiver
) -> None:
    wb = near(wb)
    hook, secret = webhooks.create(wb, admin, receiver.url, ["stage.changed", "deployment.up"])
    model = version(wb, trainer)
    stages.promote(wb, trainer, model.id, "production", "the first")
    made = serving.deploy(wb, trainer, model.id)
    for _ in range(2):  # seen twice, told once
        seen(wb, made.id, status="up", url="http://127.0.0.1:1", detail=None)
    assert delivery.turn(wb) == 2 and delivery.turn(wb) == 0
    said = [json.loads(body) for _headers, body in receiver.got]
    assert [each["type"] for each in said] == ["stage.changed", "deployment.up"]
    assert said[0]["data"]["reason"] == "the first" and said[1]["data"]["deployment_id"] == made.id
    for headers, body in receiver.got:
        assert documented()(secret, headers, body)
    assert len({headers["webhook-id"] for headers, _body in receiver.got}) == 2
    log = outbox.newest(wb, 10, hook.id)
    assert [(each.status, each.answer) for each in log] == [("delivered", "204 No Content")] * 2
    assert ledger.verify(wb) == [] and registry.get(wb, model.id).stage == "production"
    webhooks.change(wb, admin, hook.id, active=False)
    serving.stop(wb, trainer, made.id)
    webhooks.delete(wb, admin, hook.id)
    assert webhooks.every(wb, admin) == [] and outbox.newest(wb, 10) == []


def test_what_is_not_taken_is_tried_again_with_growing_pauses_and_given_up_at_last(
    wb: Workbench, admin: auth.User, receiver: Receiver
) -> None:
    wb = near(wb)
    hook, _ = webhooks.create(wb, admin, receiver.url, ["run.failed"])
    receiver.status = 302  # a redirect is not followed: it could lead anywhere
    webhooks.send_test(wb, admin, hook.id)
    pauses = []
    for _ in range(len(delivery.PAUSES) + 1):
        due_now(wb)
        assert delivery.turn(wb) == 0
        [notice] = outbox.newest(wb, 10)
        if notice.next_at is not None:
            pauses.append((notice.next_at - notice.created_at).total_seconds())
    assert len(pauses) == len(delivery.PAUSES) and pauses == sorted(pauses)
    assert (notice.status, notice.answer, notice.tries) == ("failed", "302 Found", len(pauses) + 1)
    assert len({headers["webhook-id"] for headers, _body in receiver.got}) == 1  # the same id each time
    receiver.status = 200
    webhooks.send_test(wb, admin, hook.id)
    assert delivery.turn(wb) == 1


KILLED = """
import os, signal, sys
from core.notices import outbox
from core.settings import Settings
from core.workbench import Workbench
wb = Workbench.open(Settings.from_env())
for n in range(5):
    wb.db.write(lambda connection: outbox.tell(connection, "run.finished", {"run_id": n}))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_loses_none(wb_duckdb: Workbench, admin: auth.User, receiver: Receiver) -> None:
    wb = near(wb_duckdb)
    webhooks.create(wb, admin, receiver.url, ["run.finished"])
    wb.close()
    environment = os.environ | {
        "VERITRAIN_DATA_DIR": str(wb.settings.data_dir),
        "VERITRAIN_ARTIFACTS_DIR": str(wb.settings.artifacts_dir),
        "REDIS_URL": wb.settings.redis_url,
    }
    killed = subprocess.run([sys.executable, "-c", KILLED], cwd=ROOT, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    again = Workbench.open(wb.settings)
    assert delivery.turn(again) == 5
    assert [json.loads(body)["data"]["run_id"] for _headers, body in receiver.got] == list(range(5))
    again.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost:6380/",
        "http://[::1]/",
        "http://0.0.0.0/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::7f00:1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[fd00:ec2::254]/",
    ],
)
def test_webhooks_never_go_to_this_machine_or_its_link(url: str) -> None:
    with pytest.raises(InvalidInput, match="leads to this machine"):
        targets.check(url, local=False)


def test_what_is_no_address_is_refused(wb_duckdb: Workbench, admin: auth.User, trainer: auth.User) -> None:
    for url in (
        "ftp://203.0.113.1/",
        "file:///etc/passwd",
        "http://",
        "nonsense",
        "http://[",
        "http://a:99999/",
    ):
        with pytest.raises(InvalidInput, match="no address of the web"):
            webhooks.create(wb_duckdb, admin, url, ["run.failed"])
    with pytest.raises(InvalidInput, match="user name"):
        webhooks.create(wb_duckdb, admin, "https://me:secret@203.0.113.1/", ["run.failed"])
    with pytest.raises(Unavailable, match="not known here"):
        webhooks.create(wb_duckdb, admin, "https://nowhere.invalid/", ["run.failed"])
    with pytest.raises(InvalidInput, match="at least one event"):
        webhooks.create(wb_duckdb, admin, "https://203.0.113.1/", [])
    with pytest.raises(NotAllowed):
        webhooks.create(wb_duckdb, trainer, "https://203.0.113.1/", ["run.failed"])
    with pytest.raises(NotFound):
        webhooks.send_test(wb_duckdb, admin, 9)


def test_an_address_that_turns_inward_later_is_not_called(
    wb_duckdb: Workbench, admin: auth.User, receiver: Receiver
) -> None:
    hook, _ = webhooks.create(near(wb_duckdb), admin, receiver.url, ["run.failed"])
    webhooks.send_test(wb_duckdb, admin, hook.id)
    assert delivery.turn(wb_duckdb) == 0 and receiver.got == []
    assert "leads to this machine" in str(outbox.newest(wb_duckdb, 1)[0].answer)


class MailServer(socketserver.ThreadingTCPServer):
    """Speaks as much SMTP as a sender needs; `refuses` answers the first so many letters with 451."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Letters)
        self.letters: list[str] = []
        self.refuses = 0


class Letters(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._say("220 here")
        for line in self.rfile:
            word = line.split()[0].upper()
            if word == b"DATA":
                self._say("354 go on")
                text = b""
                while not text.endswith(b"\r\n.\r\n"):
                    text += self.rfile.readline()
                if self.server.refuses:
                    self.server.refuses -= 1
                    self._say("451 not now")
                else:
                    self.server.letters.append(text.decode())
                    self._say("250 taken")
            else:
                self._say("221 bye" if word == b"QUIT" else "250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with MailServer() as it:
        thread = threading.Thread(target=it.serve_forever)
        thread.start()
        yield it
        it.shutdown()
        thread.join()


def test_e_mails_go_over_smtp_and_are_tried_again(wb_duckdb: Workbench, mail_server: MailServer) -> None:
    url = f"smtp://127.0.0.1:{mail_server.server_address[1]}"
    wb = replace(wb_duckdb, settings=replace(wb_duckdb.settings, smtp_url=url))
    mail_server.refuses = 1
    wb.db.write(lambda c: outbox.mail(c, ["ada@example.org"], "alert.firing", "Error rate", "It is 5 %."))
    assert delivery.turn(wb) == 0
    assert "not now" in str(outbox.newest(wb, 1)[0].answer)
    due_now(wb)
    assert delivery.turn(wb) == 1
    [letter] = mail_server.letters
    assert "Subject: Error rate" in letter and "To: ada@example.org" in letter and "It is 5 %." in letter

    secret = replace(wb, settings=replace(wb.settings, smtp_url=url.replace("//", "//me:word@")))
    secret.db.write(lambda c: outbox.mail(c, ["ada@example.org"], "alert.firing", "a", "b"))
    assert delivery.turn(secret) == 0
    assert "no encryption" in str(outbox.newest(wb, 1)[0].answer)


def test_without_a_mail_server_the_log_says_so(wb_duckdb: Workbench) -> None:
    wb_duckdb.db.write(lambda c: outbox.mail(c, ["ada@example.org"], "alert.firing", "a", "b"))
    assert delivery.turn(wb_duckdb) == 0
    [notice] = outbox.newest(wb_duckdb, 1)
    assert notice.status == "failed" and "VERITRAIN_SMTP_URL" in str(notice.answer)
    assert outbox.undelivered(wb_duckdb, ["ada@example.org"]) == notice
    assert outbox.undelivered(wb_duckdb, ["bob@example.org"]) is None
