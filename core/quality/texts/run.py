"""Pure. All checks of one version of a text dataset. What was seen before is not looked at again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from core.i18n import N_
from core.quality.texts import alignment, answers, copies, form, language, leakage, pii
from core.quality.texts.findings import SEVERE, Finding, Result
from core.quality.texts.foundfile import SCHEMA, SEEN
from core.quality.texts.kinds import KINDS
from core.quality.texts.language import Told
from core.quality.texts.lexicon import Meanings
from core.quality.texts.rules import Rules
from core.texts.records import Record
from core.texts.rowfile import DataRow, rows_of

CHUNK = 1_000
"""Rows between two calls of `progress`."""
PARALLEL = "parallel"
RANK = {"train": 0, "valid": 1, "test": 2}
"""A copy leaks from the side of the lower rank: test rows never go."""

NO_TEST = N_("Not checked: whether tested prompts are learnt from; there are no rows of train and test yet.")
OTHER_COLUMNS = N_("Not checked: columns beside the texts; they are kept and exported as they came.")
_WORDS = {
    "copy": N_("The same text as in row {row}."),
    "near-copy": N_("Nearly the same text as in row {row}."),
    "leakage": N_("Shares a long run of words with the prompt of row {row}, which is tested."),
}
"""What is said of two rows: by row id, where the checks of plain records name lines."""
TOLD_APART = N_("Says the same as row {row}, which is in “{split}”.")

_ByHash = dict[str, list[tuple[str, str, str, str, str]]]
"""Findings in one row alone by its content: where, kind, severity, message, fields."""


@dataclass(frozen=True)
class Before:
    """Files of an earlier check with the same CHECKS and rules of rows, see core.quality.texts.foundfile."""

    findings: pa.Table
    seen: pa.Table


@dataclass(frozen=True)
class Checked:
    findings: pa.Table
    seen: pa.Table
    summary: dict[str, Any]
    """`rows`; `looked_at`, contents that no check before had seen; `pairs`, `learnt` (see Alignment);
    `told` and `undecided` texts, `languages` by part, `expected`; `dealt`: whether anything is tested;
    `not_checked`: sentences."""


def check(
    rows: pa.Table,
    shape: str,
    rules: Rules,
    before: Before | None = None,
    progress: Callable[[float], None] = lambda done: None,
    meanings: Meanings | None = None,
    without: str = alignment.BY_WORDS,
) -> Checked:
    """Check rows (core.texts.rowfile.SCHEMA) of a dataset of this shape.

    `meanings` by row, or `without`, the sentence that says why there are none: see `alignment.check`.
    `progress` is told the share that is done, 0–1; what it raises ends the check.
    """
    data = list(rows_of(rows))
    records = [row.record for row in data]
    hashes = [str(digest) for digest in rows["hash"].to_pylist()]
    languages, alone = _known(before, set(hashes))
    first: dict[str, Record] = {}
    for digest, record in zip(hashes, records, strict=True):
        if digest not in languages:
            first.setdefault(digest, record)
    not_checked = dict.fromkeys((pii.NOT_CHECKED, answers.BY_PATTERNS))
    fresh = list(first.items())
    for start in range(0, len(fresh), CHUNK):
        some = fresh[start : start + CHUNK]
        _look(some, rules, languages, alone)
        progress(0.7 * (start + len(some)) / len(fresh))

    found: list[_Found] = [
        (number, *of_content, None)
        for number, digest in enumerate(hashes)
        for of_content in alone.get(digest, ())
    ]
    told = language.judged([languages[digest] for digest in hashes])
    found += _compared(told.findings, data)
    progress(0.72)
    near = copies.near(records, rules.likeness)
    groups = {n: data[cluster[0]].row_id for cluster in near.clusters for n in cluster}
    found += _compared(near.findings, data, groups)
    progress(0.8)
    tested = len({row.split for row in data} - {None}) > 1
    found += _leaks(data, near.clusters)
    if not tested:
        not_checked[NO_TEST] = None
    progress(0.85)
    paired = alignment.check(records, meanings, without) if shape == PARALLEL else alignment.Alignment([], 0)
    found += _compared(paired.findings, data)
    not_checked |= dict.fromkeys(paired.not_checked)
    if pc.any(pc.not_equal(rows["extra"], pa.scalar("{}"))).as_py():
        not_checked[OTHER_COLUMNS] = None
    progress(1.0)
    return Checked(
        _findings(found, data, hashes),
        pa.Table.from_pylist(
            [
                {
                    "hash": digest,
                    "languages": [
                        {"part": part, "where": where, "language": spoken}
                        for part, where, spoken in languages[digest]
                    ],
                }
                for digest in dict.fromkeys(hashes)
            ],
            SEEN,
        ),
        {
            "rows": len(data),
            "looked_at": len(fresh),
            "pairs": paired.pairs,
            "learnt": paired.learnt is not False,
            "told": sum(sum(of.values()) for of in told.counts.values()),
            "undecided": told.undecided,
            "languages": {part: dict(of) for part, of in told.counts.items()},
            "expected": dict(told.expected),
            "dealt": tested,
            "not_checked": list(not_checked),
        },
    )


def _known(before: Before | None, wanted: set[str]) -> tuple[dict[str, list[Told]], _ByHash]:
    """What an earlier check saw of these contents: languages, and findings in the row alone."""
    languages: dict[str, list[Told]] = {}
    alone: _ByHash = {}
    if before is None:
        return languages, alone
    for seen in before.seen.to_pylist():
        if seen["hash"] in wanted:
            languages[seen["hash"]] = [(t["part"], t["where"], t["language"]) for t in seen["languages"]]
    of_row: dict[str, int] = {}
    by_row = pa.array([kind.name for kind in KINDS.values() if kind.by_row])
    for each in before.findings.filter(pc.is_in(before.findings["kind"], by_row)).to_pylist():
        digest = each["hash"]
        if digest in languages and of_row.setdefault(digest, each["row_id"]) == each["row_id"]:
            names = ("where", "kind", "severity", "message", "fields")
            where, kind, severity, message, fields = (each[name] for name in names)
            alone.setdefault(digest, []).append((where, kind, severity, message, fields))
    return languages, alone


def _look(
    some: Sequence[tuple[str, Record]], rules: Rules, languages: dict[str, list[Told]], alone: _ByHash
) -> None:
    """The checks of rows alone, of contents that nobody has looked at."""
    records = [record for _, record in some]
    results: tuple[Result, ...] = (
        form.check(records, rules.longest),
        pii.check(records),
        answers.check(records),
        language.check_characters(records),
    )
    for digest, record in some:
        languages[digest] = language.told(record)
    for result in results:
        for each in result.findings:
            told = (each.where, each.kind, each.severity, each.message, _json(each.fields))
            alone.setdefault(some[each.record][0], []).append(told)


_Found = tuple[int, str, str, str, str, str, int | None]
"""Index of the row, where, kind, severity, message, fields, group."""


def _compared(
    findings: Sequence[Finding], data: Sequence[DataRow], groups: Mapping[int, int] | None = None
) -> list[_Found]:
    """Findings of a check that compares rows; those of copies name the other row by its id."""
    found: list[_Found] = []
    for each in findings:
        message, fields = each.message, dict(each.fields)
        if "record" in fields:
            message, fields = _WORDS[each.kind], {"row": data[fields["record"]].row_id}
        group = groups.get(each.record) if groups else None
        found.append((each.record, each.where, each.kind, each.severity, message, _json(fields), group))
    return found


def _leaks(data: Sequence[DataRow], clusters: Sequence[Sequence[int]]) -> list[_Found]:
    """Rows that say the same as one of a split that is tested later, and those that share its words."""
    leaks: dict[int, tuple[str, dict[str, Any], int]] = {}
    for cluster in clusters:
        dealt = [n for n in cluster if data[n].split is not None]
        if len({data[n].split for n in dealt}) < 2:
            continue
        top = max(dealt, key=lambda n: (RANK[str(data[n].split)], -n))
        for n in dealt:
            if data[n].split != data[top].split:
                fields = {"row": data[top].row_id, "split": data[top].split}
                leaks[n] = TOLD_APART, fields, data[cluster[0]].row_id
    train = [n for n, row in enumerate(data) if row.split == "train"]
    test = [n for n, row in enumerate(data) if row.split == "test"]
    for each in leakage.check([data[n].record for n in train], [data[n].record for n in test]).findings:
        row, other = data[train[each.record]], data[test[each.fields["test"]]]
        fields = {"row": other.row_id}
        group = min(row.row_id, other.row_id)
        leaks.setdefault(train[each.record], (_WORDS["leakage"], fields, group))
    return [
        (n, "", "leakage", SEVERE, message, _json(fields), group)
        for n, (message, fields, group) in leaks.items()
    ]


def _findings(found: list[_Found], data: Sequence[DataRow], hashes: Sequence[str]) -> pa.Table:
    found.sort(key=lambda each: (each[0], each[2], each[1]))
    numbers, *rest = list(zip(*found, strict=True)) or [()] * 7
    columns = [[data[n].row_id for n in numbers], [hashes[n] for n in numbers], *rest]
    arrays = [pa.array(values, of.type) for values, of in zip(columns, SCHEMA, strict=True)]
    return pa.table(arrays, schema=SCHEMA)


def _json(fields: Mapping[str, Any]) -> str:
    return json.dumps(dict(fields), ensure_ascii=False)
