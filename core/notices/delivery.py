"""Stored. Sends what waits in the outbox: webhooks over HTTP, e-mails over SMTP, tried again with growing pauses."""

from __future__ import annotations

import json
import logging
import smtplib
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import cache
from urllib.parse import unquote, urlsplit

import httpx

from core.errors import VeritrainError
from core.notices import outbox, signing, targets, webhooks
from core.notices.outbox import DELIVERED, FAILED, WAITING, Notice
from core.settings import Settings
from core.workbench import Workbench

log = logging.getLogger(__name__)

PAUSES = (5, 30, 120, 600, 3_600, 6 * 3_600, 12 * 3_600, 24 * 3_600)
"""Seconds before each further try; after the last one a notice has failed."""
SECONDS = 10.0
"""That a receiver has for its answer."""
AT_ONCE, BATCH = 8, 200
"""Receivers that are sent to side by side; notices of one round."""
KEPT_DAYS = 30
"""What is delivered or failed stays so long in the log."""
GONE = 410
"""By this answer a receiver says that it wants nothing more."""


class NotSent(Exception):
    """Why a try failed; `final` where another one is of no use."""

    def __init__(self, answer: str, final: bool = False) -> None:
        super().__init__(answer)
        self.final = final


def turn(wb: Workbench) -> int:
    """Send what is due, each receiver's in order; returns how many were delivered.

    A notice is marked after its receiver took it, so a process that is killed in between sends it once more.
    """
    waiting: dict[object, list[Notice]] = {}
    for notice in outbox.due(wb, datetime.now(UTC), BATCH):
        waiting.setdefault(notice.webhook_id or notice.address, []).append(notice)
    if not waiting:
        return 0
    known = webhooks.secrets_of(wb)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="notices") as pool:
        return sum(pool.map(lambda found: _deliver(wb, found, known), waiting.values()))


def forget(wb: Workbench) -> None:
    """Remove old lines of the log."""
    outbox.forget(wb, datetime.now(UTC) - timedelta(days=KEPT_DAYS))


def _deliver(wb: Workbench, found: list[Notice], known: dict[int, str]) -> int:
    """One receiver's notices, up to the first that it does not take."""
    for place, notice in enumerate(found):
        try:
            answer = _send(wb.settings, notice, known)
        except Exception as failure:
            if isinstance(failure, NotSent):
                error = failure
            else:  # one notice that cannot even be written must not hold up the others
                log.exception("notice %s", notice.message_id)
                error = NotSent(f"{type(failure).__name__}: {failure}")
            over = error.final or notice.tries >= len(PAUSES)
            pause = None if over else datetime.now(UTC) + timedelta(seconds=PAUSES[notice.tries])
            outbox.tried(wb, notice, FAILED if over else WAITING, str(error), pause)
            log.warning("notice %s was not taken: %s", notice.message_id, error)
            return place
        outbox.tried(wb, notice, DELIVERED, answer, None)
    return len(found)


def _send(settings: Settings, notice: Notice, known: dict[int, str]) -> str:
    """What the receiver answered. Raises NotSent."""
    if notice.webhook_id is None:
        return _mail(settings, notice)
    return _post(settings, notice, known.get(notice.webhook_id))


def _post(settings: Settings, notice: Notice, secret: str | None) -> str:
    if secret is None:
        raise NotSent("The webhook is switched off.", final=True)
    try:
        target = targets.check(notice.address, local=settings.local_webhooks)
    except VeritrainError as error:
        raise NotSent(error.text()) from error
    url = httpx.URL(notice.address)
    headers = signing.headers(secret, notice.message_id, int(time.time()), notice.body)
    headers |= {"Content-Type": "application/json", "User-Agent": "Veritrain", "Host": url.netloc.decode()}
    request = _client().build_request(
        "POST",
        url.copy_with(host=target.ip),
        content=notice.body.encode(),
        headers=headers,
        extensions={"sni_hostname": target.host},
    )
    try:
        answer = _client().send(request, stream=True)
        answer.close()  # what it says beyond the status is nothing to us
    except httpx.HTTPError as error:
        raise NotSent(f"{type(error).__name__}: {error}") from error
    said = f"{answer.status_code} {answer.reason_phrase}".strip()
    if not answer.is_success:
        raise NotSent(said, final=answer.status_code == GONE)
    return said


@cache
def _client() -> httpx.Client:
    """No connection is kept: they belong to an address, and the next webhook there may have another name."""
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=0)
    return httpx.Client(timeout=SECONDS, trust_env=False, follow_redirects=False, limits=limits)


def _mail(settings: Settings, notice: Notice) -> str:
    if not settings.smtp_url:
        raise NotSent("No mail server is set; name one in VERITRAIN_SMTP_URL.", final=True)
    server = urlsplit(settings.smtp_url)
    said = json.loads(notice.body)
    message = EmailMessage()
    message["Subject"] = said["subject"]
    message["From"] = settings.mail_from
    message["To"] = notice.address
    message["Message-ID"] = f"<{notice.message_id}@veritrain>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(said["text"])
    host, secure = server.hostname or "", server.scheme == "smtps"
    try:
        safe = ssl.create_default_context()
        with (
            smtplib.SMTP_SSL(host, server.port or 465, timeout=SECONDS, context=safe)
            if secure
            else smtplib.SMTP(host, server.port or 25, timeout=SECONDS)
        ) as smtp:
            smtp.ehlo()
            if not secure and smtp.has_extn("starttls"):
                smtp.starttls(context=safe)
                secure = True
            if server.username:
                if not secure:
                    raise NotSent("The mail server offers no encryption, so the password was not sent to it.")
                smtp.login(unquote(server.username), unquote(server.password or ""))
            smtp.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"{type(error).__name__}: {error}") from error
    return "250"
