"""Stored. MLflow's aliases `champion`, `challenger` and `previous` follow the ledger and the running A/B tests.

MLflow may be away, and an administrator may move an alias in its own screens: what is there is
compared with the ledger again from time to time, and the ledger wins.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import httpx

from core import ledger
from core.registry import Version
from core.workbench import Workbench

log = logging.getLogger(__name__)

NAMES = ("champion", "challenger", "previous")
"""What each means: see core.ledger.aliases."""
AGAIN_SECONDS = 300.0
"""How often a model's aliases are compared with MLflow although nothing was decided."""
AWAY_SECONDS = 15.0
"""How long MLflow is left alone after it did not answer."""
TIMEOUT = httpx.Timeout(10.0, connect=2.0)


def of(wb: Workbench, versions: Sequence[Version]) -> dict[int, list[str]]:
    """Each version's aliases by its id, as the ledger has them: MLflow may be a moment behind."""
    known = ledger.aliases(wb, {version.model_name for version in versions})
    return {
        version.id: [name for name in NAMES if known.get(version.model_name, {}).get(name) == version.version]
        for version in versions
    }


class Aliases:
    """Brings MLflow's aliases in line with the ledger; `turn` is called every few seconds."""

    def __init__(self, wb: Workbench) -> None:
        self.wb = wb
        self._told: dict[str, tuple[float, dict[str, int]]] = {}
        self._wanted: dict[str, dict[str, int]] = {}
        self._mark: tuple[Any, ...] = ()
        self._not_before = 0.0

    def turn(self) -> None:
        """One round. MLflow being away is no error: the next round tries again."""
        now = time.monotonic()
        if now < self._not_before:
            return
        if (mark := ledger.aliases_mark(self.wb)) != self._mark:
            self._wanted, self._mark = ledger.aliases(self.wb), mark
        due = {
            name: wanted
            for name, wanted in self._wanted.items()
            if name not in self._told
            or self._told[name][1] != wanted
            or now - self._told[name][0] > AGAIN_SECONDS
        }
        if not due:
            return
        url = f"{self.wb.settings.mlflow_url}/api/2.0/mlflow/registered-models"
        try:
            with httpx.Client(timeout=TIMEOUT, trust_env=False) as client:
                for name, wanted in due.items():
                    _bring(client, url, name, wanted)
                    self._told[name] = (now, wanted)
        except httpx.HTTPError as error:
            log.warning("aliases: MLflow was not told (%s); it is tried again", error)
            self._not_before = now + AWAY_SECONDS


def _bring(client: httpx.Client, url: str, name: str, wanted: dict[str, int]) -> None:
    answer = client.get(f"{url}/get", params={"name": name})
    if not _taken(answer, name):
        return
    found = {
        each["alias"]: int(each["version"]) for each in answer.json()["registered_model"].get("aliases", [])
    }
    for alias in NAMES:
        if (version := wanted.get(alias)) is not None and found.get(alias) != version:
            body = {"name": name, "alias": alias, "version": str(version)}
            _taken(client.post(f"{url}/alias", json=body), f"{alias} of {name}")
        elif version is None and alias in found:
            body = {"name": name, "alias": alias}
            _taken(client.request("DELETE", f"{url}/alias", json=body), f"{alias} of {name}")


def _taken(answer: httpx.Response, what: str) -> bool:
    """Whether MLflow did it. What it refuses, as for a version that somebody deleted there, is this model's alone.

    Raises HTTPStatusError where MLflow itself is ill.
    """
    if answer.is_client_error:
        log.warning("aliases: MLflow refuses %s (%d): %s", what, answer.status_code, answer.text[:200])
        return False
    answer.raise_for_status()
    return True
