"""Log lines of a process, for people and for machines."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from core.errors import InvalidInput
from core.settings import Settings
from tests.conftest import ROOT

SPEAKS = """
import logging, sys
from core import logs
logs.setup(sys.argv[1])
logs.always(run=7, attempt=2)
logging.getLogger("somebody").warning("lost %s", "it")
with logs.request("order-66"):
    try:
        1 / 0
    except ZeroDivisionError:
        logging.getLogger("somebody").exception("broke")
logs.always(run=None)
logging.getLogger("somebody").info("over")
"""


def said(kind: str) -> str:
    command = [sys.executable, "-c", SPEAKS, kind]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr


def test_json_is_one_object_a_line_with_run_request_and_trace() -> None:
    lost, broke, over = (json.loads(line) for line in said("json").splitlines())
    assert (lost["event"], lost["level"], lost["logger"]) == ("lost it", "warning", "somebody")
    assert (lost["run"], lost["attempt"], "request_id" in lost) == (7, 2, False)
    assert broke["request_id"] == "order-66" and "ZeroDivisionError" in broke["exception"]
    assert "run" not in over and over["attempt"] == 2


def test_text_is_key_value_with_the_trace_below() -> None:
    text = said("text")
    first = text.splitlines()[0]
    assert "lost it" in first and "run=7" in first and "\x1b" not in text
    assert "ZeroDivisionError: division by zero" in text


def test_another_format_is_refused() -> None:
    with pytest.raises(InvalidInput, match="VERITRAIN_LOG_FORMAT is “xml”; set it to one of: text, json"):
        Settings.from_env({"VERITRAIN_LOG_FORMAT": "xml"})
    with pytest.raises(InvalidInput, match="not the address of a mail server"):
        Settings.from_env({"VERITRAIN_SMTP_URL": "mail.example.org"})
