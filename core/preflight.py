"""Stored. What the newest pre-flight of a theme found, and whether it is still true of what would be trained now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core import images, params, side_jobs
from core.errors import Conflict
from core.events import ENDED, Status
from core.preflight_lines import BAD, Line
from core.workbench import Workbench

KIND = "preflight"


@dataclass(frozen=True)
class Standing:
    state: str
    """none, going, failed, stale, red or green."""
    run_id: int | None = None
    lines: tuple[Line, ...] = ()
    figures: Mapping[str, Any] | None = None
    """`seconds`, `step_seconds`, `eta_low`, `eta_high` (s), `need_bytes`, `free_bytes`, `fitting_batch`, `dropped`."""
    fraction: float = 0.0
    at: datetime | None = None
    error: str = ""

    @property
    def bad(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.state == BAD)


def fingerprint(wb: Workbench, theme_id: int) -> str:
    """Of the saved parameters and of how many images each label has in each split.

    Cheap at a million images; images that are exchanged one for one do not show. Raises NotFound, and
    InvalidInput where the saved parameters are damaged.
    """
    counts = images.statistics(wb, theme_id)
    chosen, augmented = params.saved(wb.settings, theme_id)
    said = [
        sorted((label, sorted(of.items())) for label, of in counts.by_label_split.items()),
        chosen.model_dump(mode="json"),
        augmented.model_dump(mode="json"),
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def standing(wb: Workbench, theme_id: int) -> Standing:
    """Raises as `fingerprint`."""
    with wb.db.read() as connection:
        row = side_jobs.newest(connection, KIND, theme_id)
    if row is None or row["status"] == Status.CANCELLED:
        return Standing("none")
    if Status(row["status"]) not in ENDED:
        done = float((row["progress"] or {}).get("fraction", 0.0))
        return Standing("going", row["id"], fraction=done)
    if row["result"] is None:
        return Standing(
            "failed", row["id"], error=str((row["error"] or {}).get("message", "")), at=row["ended_at"]
        )
    lines = tuple(Line(each["name"], each["state"], each["fields"]) for each in row["result"]["lines"])
    found = Standing("green", row["id"], lines, row["result"]["figures"], at=row["ended_at"])
    state = "stale" if row["spec"]["about"] != fingerprint(wb, theme_id) else "red" if found.bad else "green"
    return Standing(state, found.run_id, lines, found.figures, at=found.at)


def refuse_red(wb: Workbench, theme_id: int) -> None:
    """Raises Conflict where a pre-flight of exactly these parameters and images failed."""
    if standing(wb, theme_id).state == "red":
        raise Conflict(
            "The pre-flight of these parameters failed, so the training would fail too. Put right what it "
            "names on the Train screen, then try again."
        )
