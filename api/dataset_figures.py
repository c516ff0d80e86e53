"""What the routes of text datasets answer about a version in numbers."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from api.dataset_shapes import RowOut, row_out
from core.datasets import findings, store
from core.datasets.findings import Standing
from core.datasets.statistics import Examples
from core.datasets.store import Version
from core.workbench import Workbench


class RatesOut(BaseModel):
    """Findings that somebody called fine are not counted."""

    alignment: float | None
    """Share of the pairs whose target says what the source says, 0–1; null where there are too few to tell."""
    duplicates: float
    """Share of the rows that are copies of another, or nearly."""
    language: float
    """Share of the texts that are in the language of their column."""
    personal: float
    """Share of the rows with personal data that is not masked."""
    unreadable: float
    """Share of the rows that are empty or garbled."""
    leakage: float
    """Share of the rows that are learnt from and repeat what is tested."""


class CheckedOut(BaseModel):
    at: datetime
    passed: bool
    score: int
    stale: bool
    """By other rules than today's."""
    rates: RatesOut
    findings: dict[str, int]
    """Rows by kind of finding."""
    called_fine: dict[str, int]
    """Rows by kind that somebody called fine."""


class StatsOut(BaseModel):
    version: int
    rows: int
    splits: dict[str, int]
    left_out: int
    """Rows that could not be read, of all files that the version and those it was made from were taken from."""
    status: str
    found: CheckedOut | None
    """What the newest check of this version found; null before the first one."""

    @classmethod
    def of(cls, wb: Workbench, version: Version) -> StatsOut:
        return cls(
            version=version.number,
            rows=version.row_count,
            splits=version.splits,
            left_out=sum((each.source or {}).get("broken_total", 0) for each in store.chain(wb, version)),
            status=version.status,
            found=_checked(findings.standing(wb, version)) if version.found else None,
        )


class FiguresOut(BaseModel):
    min: int
    median: int
    p95: int
    max: int
    total: int
    histogram: list[int]
    """How many lie from each of `edges` up to the next."""


class LengthsOut(BaseModel):
    texts: int
    characters: FiguresOut
    tokens: FiguresOut


class ExamplesOut(BaseModel):
    shortest: list[RowOut]
    longest: list[RowOut]
    others: list[RowOut]


class StatisticsOut(BaseModel):
    version: int
    rows: int
    tokens_estimated: bool
    """True where no tokenizer is configured: words, Han, Kana and Hangul characters and marks are counted."""
    tokenizer: str | None
    edges: list[int]
    fields: dict[str, LengthsOut]
    whole: LengthsOut
    turns: FiguresOut
    examples: ExamplesOut

    @classmethod
    def of(cls, version: Version, examples: Examples) -> StatisticsOut:
        figures = {name: version.statistics[name] for name in ("rows", "edges", "fields", "whole", "turns")}
        tokenizer = version.statistics["tokenizer"]
        some = {name: [row_out(row) for row in rows] for name, rows in vars(examples).items()}
        return cls(
            version=version.number,
            tokens_estimated=tokenizer is None,
            tokenizer=tokenizer,
            examples=ExamplesOut(**some),
            **figures,
        )


def _checked(standing: Standing) -> CheckedOut | None:
    counts = standing.counts
    if counts is None or standing.checked_at is None:
        return None
    rows = max(1, counts.rows)
    return CheckedOut(
        at=standing.checked_at,
        passed=standing.gate.passed,
        score=standing.gate.score,
        stale=standing.stale,
        rates=RatesOut(
            alignment=1 - counts.unaligned / counts.pairs if counts.pairs and counts.learnt else None,
            duplicates=counts.copies / rows,
            language=1 - counts.foreign / max(1, counts.told),
            personal=counts.personal / rows,
            unreadable=counts.unreadable / rows,
            leakage=counts.leaks / rows,
        ),
        findings=standing.open,
        called_fine=standing.kept,
    )
