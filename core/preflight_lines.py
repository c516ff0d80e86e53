"""Pure. What a pre-flight says: one line for each thing it tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OK, WARN, BAD = "ok", "warn", "bad"


@dataclass(frozen=True)
class Line:
    """One thing that was tried. `name` says what (see core.preflight_words), `state` how it went."""

    name: str
    state: str
    fields: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "state": self.state, "fields": dict(self.fields)}
