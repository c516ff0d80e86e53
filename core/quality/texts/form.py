"""Pure. Is each record complete and of a length that a model can take?"""

from __future__ import annotations

from collections.abc import Sequence

from core.i18n import N_
from core.quality.texts.findings import NOTABLE, SEVERE, Finding, Result
from core.texts.records import ASSISTANT, USER, Record, field_name

LONGEST = 16_000
"""Characters of a whole record: about what 4,000 tokens hold in English, and more than that elsewhere."""
ROLES = frozenset({USER, ASSISTANT, "system", "tool", "function", "function_call", "observation"})


def check(records: Sequence[Record], longest: int = LONGEST) -> Result:
    """Empty fields, records that are too long, and conversations that teach no answer.

    Wrong types and broken rows never become records: `core.texts.formats.records` names them by line.
    """
    findings: list[Finding] = []
    for number, record in enumerate(records):
        findings += _of(number, record, longest)
    return Result(findings, len(records))


def _of(number: int, record: Record, longest: int) -> list[Finding]:
    found: list[Finding] = []

    def add(where: str, kind: str, severity: str, message: str, **fields: object) -> None:
        found.append(Finding(number, where, kind, severity, message, {"field": where, **fields}))

    if not record.turns:
        add("", "no-turns", SEVERE, N_("The conversation has no turns."))
        return found
    for place, turn in enumerate(record.turns):
        name = field_name(record, place)
        if not turn.content.strip() and not (place == 0 and record.is_pair and record.context.strip()):
            add(name, "empty", SEVERE, N_("“{field}” is empty."))
        if turn.role not in ROLES:
            add(name, "role", NOTABLE, N_("“{field}” is said by somebody whom no template knows."))
    last = len(record.turns) - 1
    if record.turns[last].role != ASSISTANT:
        add(
            field_name(record, last), "no-answer", SEVERE, N_("The conversation does not end with an answer.")
        )
    for place in range(1, len(record.turns)):
        if record.turns[place].role == record.turns[place - 1].role in (USER, ASSISTANT):
            add(
                field_name(record, place),
                "order",
                NOTABLE,
                N_("“{field}” is said by the same side as the turn before."),
            )
    length = len(record.system) + len(record.context) + sum(len(turn.content) for turn in record.turns)
    if length > longest:
        add(
            "",
            "too-long",
            NOTABLE,
            N_("{length} characters are more than {longest}."),
            length=length,
            longest=longest,
        )
    return found
