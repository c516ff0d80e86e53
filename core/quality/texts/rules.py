"""Pure. What counts as a finding in texts and what the gate asks for: a dataset's own numbers, with defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import InvalidInput
from core.quality.texts import copies, form


class Rules(BaseModel):
    """Thresholds of findings (see core.quality.texts.kinds) and of the gate's lines."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    longest: int = Field(form.LONGEST, ge=100, le=10_000_000)
    """Characters of a whole row; more are a finding."""
    likeness: float = Field(copies.THRESHOLD, ge=0.5, le=1)
    """Share of their word runs (Jaccard) that near copies have in common at least."""

    least_aligned: float = Field(0.80, ge=0, le=1)
    """Gate, parallel data: share of the pairs that belong together."""
    most_copies: float = Field(0.20, ge=0, le=1)
    """Gate: share of rows that are copies of another."""
    least_consistent: float = Field(0.90, ge=0, le=1)
    """Gate: share of the texts that are in the language of their column."""
    most_personal: int = Field(0, ge=0, le=1_000_000)
    """Gate: rows with personal data that is not masked."""
    most_unreadable: int = Field(0, ge=0, le=1_000_000)
    """Gate: broken rows of uploads, and rows that are empty, without an answer or garbled."""
    most_leaks: int = Field(0, ge=0, le=1_000_000)
    """Gate: rows that are learnt from and repeat what is tested."""

    def of_rows(self) -> dict[str, Any]:
        """What decides on findings in one row alone: results under equal values can be used again."""
        return {"longest": self.longest}

    def of_findings(self) -> dict[str, Any]:
        """What decides on findings at all; the rest only moves the gate."""
        return {**self.of_rows(), "likeness": self.likeness}


def changed(rules: Rules, values: Mapping[str, Any]) -> Rules:
    """`rules` with other values. Raises InvalidInput naming the one that is not right."""
    try:
        return Rules.model_validate({**rules.model_dump(), **values})
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(
            "“{field}” is not right: {reason}.", field=str(first["loc"][0])[:50], reason=first["msg"]
        ) from None
