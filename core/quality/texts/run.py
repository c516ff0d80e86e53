"""Pure. All checks of one version of a text dataset. What was seen before is not looked at again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.i18n import N_
from core.quality.texts import alignment, answers, compared, copies, pii, seen
from core.quality.texts.rules import Rules
from core.quality.texts.seen import Before

if TYPE_CHECKING:
    from core.quality.texts.paired import Model, Paired

CHUNK = 1_000
"""Contents between two calls of `progress`."""
PARALLEL = "parallel"

NO_TEST = N_("Not checked: whether tested prompts are learnt from; there are no rows of train and test yet.")
OTHER_COLUMNS = N_("Not checked: columns beside the texts; they are kept and exported as they came.")


@dataclass(frozen=True)
class Checked:
    findings: pa.Table
    seen: pa.Table
    learnt: bytes | None
    """What was learnt of pairs, see core.quality.texts.paired; None of other data."""
    summary: dict[str, Any]
    """`rows`; `looked_at`, contents that no check before had seen; `pairs`, `learnt`, `together` and `since`
    (see core.quality.texts.paired.Said; 0 of other data); `told` and `undecided` texts, `languages` by part,
    `expected`; `dealt`: whether anything is tested; `not_checked`: sentences."""


def check(
    rows: pa.Table,
    shape: str,
    rules: Rules,
    before: Before | None = None,
    progress: Callable[[float], None] = lambda done: None,
    model: Model | None = None,
    without: str = alignment.BY_WORDS,
    *,
    anew: bool = False,
) -> Checked:
    """Check rows (core.texts.rowfile.SCHEMA) of a dataset of this shape.

    `model` reads pairs, or `without` is the sentence that says why there is none: see `alignment.check`.
    `progress` is told the share that is done, 0–1; what it raises ends the check. What is found does not
    depend on `before`, which only saves time, but for pairs: see `paired.check`, `anew` too.
    """
    of = seen.Rows(rows)
    old, known = seen.kept(before.seen if before else None, of.contents)
    fresh = np.flatnonzero(~known)
    news = [seen.looked([], rules.likeness)]
    alone = [seen.ALONE.empty_table()]
    if before is not None:
        alone.append(seen.alone_before(before.findings, of.contents))
    for start in range(0, len(fresh), CHUNK):
        some = fresh[start : start + CHUNK]
        records = of.records(of.first[some])
        news.append(seen.looked(records, rules.likeness))
        alone.append(seen.alone(some, records, rules))
        progress(0.7 * (start + len(some)) / len(fresh))
    of_contents = seen.together(of, old, known, pa.concat_tables(news), rules.likeness)
    told = compared.languages(of, of_contents)
    progress(0.72)
    clusters, roots = copies.alike(
        of_contents.sketches(of.content, rules.likeness),
        rules.likeness,
        lambda places: [record.whole() for record in of.records(places)],
    )
    progress(0.8)
    copied = [*compared.copied(of, clusters, roots), *compared.leaks(of, of_contents, clusters)]
    progress(0.85)
    pairs: Paired | None = None
    if shape == PARALLEL:
        from core.quality.texts import paired  # brings scipy, which takes half a second

        pairs = paired.check(of, before, model, without, anew=anew)
    progress(1.0)
    tested = len(set(of.splits) - {None}) > 1
    others = pc.any(pc.not_equal(rows["extra"], pa.scalar("{}"))).as_py()
    not_checked = dict.fromkeys((pii.NOT_CHECKED, answers.BY_PATTERNS))
    not_checked |= {} if tested else {NO_TEST: None}
    not_checked |= dict.fromkeys(pairs.said.not_checked) if pairs else {}
    not_checked |= {OTHER_COLUMNS: None} if others else {}
    alone += [pairs.alone] if pairs else []
    found = [compared.of_rows(of, pa.concat_tables(alone)), told.found, compared.table(copied)]
    return Checked(
        compared.findings(of, pa.concat_tables(found)),
        of_contents.table(of.contents, rules.likeness),
        pairs.learnt if pairs else None,
        {
            "rows": len(of),
            "looked_at": len(fresh),
            "pairs": pairs.said.pairs if pairs else 0,
            "learnt": pairs.said.learnt if pairs else True,
            "together": pairs.said.together if pairs else 0,
            "since": pairs.said.since if pairs else 0,
            "told": told.told,
            "undecided": told.undecided,
            "languages": told.counts,
            "expected": told.expected,
            "dealt": tested,
            "not_checked": list(not_checked),
        },
    )
