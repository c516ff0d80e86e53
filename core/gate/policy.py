"""Stored. A theme's promotion policy: read, saved by administrators, and named by a hash."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from ruamel.yaml import YAML

from core import audit, auth, params, themes
from core.params import GatePolicy
from core.workbench import Workbench


@dataclass(frozen=True)
class Policy:
    """A theme's rules as they were saved."""

    rules: GatePolicy
    text: str
    """The YAML as people left it, comments included."""
    version: str
    """Commit of the repository of parameters; "" before the first save."""

    @property
    def hash(self) -> str:
        """SHA-256 of `canonical` in UTF-8: the same rules have the same hash, whatever is said beside them."""
        return hashlib.sha256(canonical(self.rules).encode()).hexdigest()

    def plain(self) -> dict[str, Any]:
        """What the ledger keeps."""
        return {"hash": self.hash, "version": self.version, "rules": self.rules.model_dump(mode="json")}


def canonical(rules: GatePolicy) -> str:
    """The rules as YAML in block style without comments, every setting named, keys sorted."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    out = io.StringIO()
    yaml.dump(rules.model_dump(mode="json"), out)
    return out.getvalue()


def of_theme(wb: Workbench, theme_id: int) -> Policy:
    """Raises InvalidInput naming the file where it was damaged by hand, Unavailable where git does not work."""
    return _policy(params.files(wb.settings, theme_id, params.GATE))


def save(
    wb: Workbench, actor: auth.User, theme_id: int, given: GatePolicy | str, *, base: str | None = None
) -> Policy:
    """Save rules, or the YAML somebody wrote, for what is promoted from now on.

    Administrators alone may, for they alone go through a red gate: a trainer who eased a rule would, too.
    `base` is the version that the person saw. Raises NotAllowed, NotFound, InvalidInput naming the line,
    ChangedMeanwhile, Unavailable.
    """
    auth.require(actor, auth.ADMIN)
    themes.get(wb, theme_id)
    if isinstance(given, str):
        found = params.save_texts(wb.settings, theme_id, actor.name, {GatePolicy: given}, base=base)
    else:
        found = params.save(wb.settings, theme_id, actor.name, given, base=base)
    return _noted(wb, actor, theme_id, found)


def restore(wb: Workbench, actor: auth.User, theme_id: int, version: str) -> Policy:
    """Make an earlier version the newest one again. Raises as `save`, and NotFound for an unknown version."""
    auth.require(actor, auth.ADMIN)
    themes.get(wb, theme_id)
    return _noted(
        wb,
        actor,
        theme_id,
        params.restore(wb.settings, theme_id, actor.name, version, of=params.GATE),
    )


def _policy(found: params.Files) -> Policy:
    return Policy(found.model(GatePolicy), found.texts[GatePolicy], found.version)


def _noted(wb: Workbench, actor: auth.User, theme_id: int, found: params.Files) -> Policy:
    saved = _policy(found)
    detail = {"version": saved.version, "hash": saved.hash}

    def work(connection: sa.Connection) -> None:
        audit.record(connection, actor, "gate.policy", f"theme {theme_id}", detail)

    wb.db.write(work)
    return saved
