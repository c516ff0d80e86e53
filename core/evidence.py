"""Pure. What the evidence of a decision says to people: how the gate stood, who overrode it and why, who approved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from core.gate.lines import RED, Line
from core.i18n import gettext as _

OTHERS = ("rolled_back", "replaced_by")
"""Under which names a version's evidence holds the id of another one."""


def others(decisions: Iterable[Mapping[str, Any]]) -> set[int]:
    """Ids of the other versions that the evidence of these decisions names."""
    return {evidence[name] for evidence in decisions for name in OTHERS if name in evidence}


def sentences(evidence: Mapping[str, Any], actor: str, numbers: Mapping[int, int]) -> list[str]:
    """In the reader's language; `numbers` are MLflow's of the versions that `others` names, by id.

    Nothing where a stage was changed that no gate stands before.
    """
    said = []
    if "rolled_back" in evidence:
        text = _("Brought back by a rollback from version {n}; no gate stands before a rollback.")
        said.append(text.format(n=numbers[evidence["rolled_back"]]))
    if "replaced_by" in evidence:
        said.append(_("Version {n} took its place.").format(n=numbers[evidence["replaced_by"]]))
    if "accepted_head" in evidence:
        text = _(
            "No stage was changed: the ledger up to entry {n} was accepted as it was, although its newest entry as it "
            "was kept outside the database was missing or another."
        )
        said.append(text.format(n=evidence["accepted_head"]["entry_id"]))
    if "gate" in evidence:
        said += _gate(evidence, actor)
    return said


def _gate(evidence: Mapping[str, Any], actor: str) -> Iterator[str]:
    red = [line for line in evidence["gate"] if line["state"] == RED]
    if red:
        yield _("The gate was red: {lines}").format(lines=" ".join(map(_finding, red)))
        yield _("{person} overrode it: {reason}").format(person=actor, reason=evidence.get("override") or "–")
    elif evidence["gate"]:
        yield _("The gate was green.")
    else:
        yield _("The promotion rules asked for nothing.")
    names = [each["user_name"] for each in evidence.get("approvals", ())]
    yield _("Approved by {names}.").format(names=", ".join(names)) if names else _("Nobody had approved it.")


def _finding(kept: Mapping[str, Any]) -> str:
    line = Line(kept["code"], kept["state"], kept["fields"], kept.get("case", ""))
    try:
        return line.finding(_)
    except KeyError:  # an entry stays for ever, its sentence may be one that is no longer said
        return line.code
