"""Pure. One example of a text dataset, whatever format it came in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

USER, ASSISTANT, SYSTEM = "user", "assistant", "system"

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Turn:
    role: str
    """user, assistant, tool, or what else the source calls it."""
    content: str


@dataclass(frozen=True, slots=True)
class Record:
    """Turns of a conversation. An instruction is its first turn and the output its second; in
    parallel data they are source and target."""

    turns: tuple[Turn, ...]
    context: str = ""
    """Alpaca's input: what the first turn is about."""
    system: str = ""
    extra: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    """Other columns of the source, as they were."""
    line: int = field(default=0, compare=False)
    """Where it stood in the source; 0 where that is not known."""

    @classmethod
    def pair(
        cls,
        instruction: str,
        output: str,
        context: str = "",
        system: str = "",
        extra: Mapping[str, Any] | None = None,
        line: int = 0,
    ) -> Record:
        """An instruction and its output; in parallel data source and target."""
        return cls(
            (Turn(USER, instruction), Turn(ASSISTANT, output)), context, system, extra or _NOTHING, line
        )

    @property
    def prompt(self) -> str:
        """The first turn of the user; "" where there is none."""
        return next((turn.content for turn in self.turns if turn.role == USER), "")

    @property
    def answer(self) -> str:
        """The last turn of the assistant; "" where there is none."""
        return next((turn.content for turn in reversed(self.turns) if turn.role == ASSISTANT), "")

    @property
    def is_pair(self) -> bool:
        return len(self.turns) == 2 and self.turns[0].role == USER and self.turns[1].role == ASSISTANT

    def texts(self) -> Iterator[tuple[str, str]]:
        """(field, text) of all its texts that are not empty; see `field_name`."""
        if self.system:
            yield SYSTEM, self.system
        if self.context:
            yield "input", self.context
        for number, turn in enumerate(self.turns):
            if turn.content:
                yield field_name(self, number), turn.content

    def text(self, name: str) -> str:
        """The text of a field that `texts` names; "" where it is empty."""
        return next((text for known, text in self.texts() if known == name), "")

    def whole(self) -> str:
        """All its texts, one after the other."""
        return "\n".join(text for _, text in self.texts())


def field_name(record: Record, number: int) -> str:
    """How findings call a turn: instruction and output in a pair, else turn 1, turn 2, …"""
    if record.is_pair:
        return ("instruction", "output")[number]
    return f"turn {number + 1}"
