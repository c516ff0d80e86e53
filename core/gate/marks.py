"""Stored. The gate's lines about what a version got right: all test images, against what is in production, by kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from core import runs
from core.ab.many import holm
from core.addresses import Address
from core.db.tables import model_train_data
from core.evaluations import answers, compared, intervals, slices
from core.evaluations.slices import Slice
from core.gate.costs import made
from core.gate.lines import ACCURACY, ELSEWHERE, GREEN, METRIC, OPEN, RED, SLICES, Line
from core.params.promotion import MetricRule
from core.quality.effect import Paired, paired
from core.registry import Version
from core.runs import Run
from core.workbench import Workbench


def accuracy(connection: sa.Connection, version: Version, champion: Version | None) -> Line:
    """Whether it is right as often as what is in production, where both were tested on the same images."""
    if champion is None:
        return Line(ACCURACY, OPEN, address=made(version))
    fields = {"champion": champion.version, "champion_id": champion.id}
    if version.run_id is None or champion.run_id is None:
        return Line(ACCURACY, RED, fields, ELSEWHERE, made(version))
    address = _beside(champion.run_id, version.run_id)
    own, other = (each.metrics.get("test", {}).get("accuracy") for each in (version, champion))
    if own is None or other is None or not _same_test(connection, version, champion):
        return Line(ACCURACY, OPEN, fields, address=address)
    state = GREEN if own >= other else RED
    return Line(ACCURACY, state, fields | {"own": own, "other": other}, address=address)


def metric(version: Version, run: Run | None, rule: MetricRule) -> Line:
    """Whether the lower end of a mark's interval at 95 % reaches the minimum."""
    address = made(version)
    if run is None:
        return Line(METRIC, RED, {"minimum": rule.minimum}, ELSEWHERE, address)
    confusion = (run.result or {}).get("confusion", {}).get("test")
    if not confusion or not np.sum(confusion):
        return Line(METRIC, RED, {"run_id": run.id}, "not tested", address)
    n = int(np.sum(confusion))
    whole = rule.name == "accuracy"
    found = intervals.wilson(int(np.trace(confusion)), n) if whole else intervals.macro_f1(confusion)
    fields = {
        "metric": rule.name,
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "n": n,
        "minimum": rule.minimum,
        "run_id": run.id,
    }
    if found.low >= rule.minimum:
        return Line(METRIC, GREEN, fields, "" if whole else "macro F1", address)
    if found.value >= rule.minimum:
        return Line(METRIC, RED, fields, "few tests" if whole else "few tests for macro F1", address)
    return Line(METRIC, RED, fields, "" if whole else "macro F1", address)


@dataclass(frozen=True)
class _Kind:
    """A kind of images as both versions answered it."""

    of: Slice
    paired: Paired
    """The version in production before, this one after."""
    p: float
    """Holm-adjusted over all kinds."""


def by_kind(wb: Workbench, version: Version, champion: Version | None, delta: float) -> Line:
    """Whether a version is worse than the one in production on a kind of images: by more than `delta` (a share)
    and by more than chance, in the exact McNemar test with Holm's correction over all kinds.

    Only images that were in the test of both count, by the labels of the newer run. Reads all answers of both.
    """
    if champion is None:
        return Line(SLICES, OPEN, address=made(version))
    fields: dict[str, Any] = {"champion": champion.version, "champion_id": champion.id, "delta": delta}
    if version.run_id is None or champion.run_id is None:
        return Line(SLICES, RED, fields, ELSEWHERE, made(version))
    ids = (champion.run_id, version.run_id)
    address = _beside(*ids)
    if any(run.result is None for run in runs.many(wb, ids)):
        return Line(SLICES, RED, fields, "no answers", address)
    found = compared.of_runs(wb, ids)
    if found.judged is None:
        case = "no answers" if found.why == "no-answers" else "no shared images"
        return Line(SLICES, RED, fields, case, address)
    kinds = list(_kinds(wb, found.shared, found.right[champion.run_id], found.right[version.run_id]))
    if not kinds:
        return Line(SLICES, OPEN, fields | {"least": slices.LEAST}, "few images", address)
    fields["kinds"] = len(kinds)
    worse = [each for each in kinds if each.paired.difference < -delta and each.p < slices.LEVEL]
    if not worse:
        return Line(SLICES, GREEN, fields, address=address)
    worst = min(worse, key=lambda each: each.paired.difference)
    return Line(SLICES, RED, fields | _said(worst) | {"worse": len(worse)}, address=address)


def _kinds(wb: Workbench, ids: np.ndarray, before: np.ndarray, after: np.ndarray) -> Iterator[_Kind]:
    """Of n images by id (n,), right answers before and after (n,) bool."""
    parts = slices.slices(after, *answers.facts(wb, ids))
    pairs = [paired(before[part.rows], after[part.rows]) for part in parts]
    adjusted = holm([pair.p for pair in pairs]) if pairs else []
    for part, pair, p in zip(parts, pairs, adjusted, strict=True):
        yield _Kind(part, pair, p)


def _said(found: _Kind) -> dict[str, Any]:
    part, pair = found.of, found.paired
    return {
        "feature": part.feature,
        "kind": part.kind,
        "measured": part.bounds is not None,
        "bounds": None if part.bounds is None else [float(edge) for edge in part.bounds],
        "n": pair.n,
        "own": pair.after,
        "other": pair.before,
        "difference": pair.difference,
        "interval": [pair.low, pair.high],
        "p": found.p,
    }


def _beside(champion: int, run: int) -> Address:
    return Address("compare", {"runs": f"{champion},{run}"})


def _same_test(connection: sa.Connection, one: Version, two: Version) -> bool:
    """Whether both were measured on the same test images with the same labels, whatever they learned from."""
    if one.snapshot_hash == two.snapshot_hash:
        return True
    a, b = model_train_data.alias("a").c, model_train_data.alias("b").c

    def count(version: Version) -> int:
        query = sa.select(sa.func.count()).where(a.version_id == version.id, a.split == "test")
        return int(connection.execute(query).scalar_one())

    both = sa.select(sa.func.count()).where(
        a.version_id == one.id, a.split == "test",
        b.version_id == two.id, b.split == "test",
        a.image_id == b.image_id, a.label_id == b.label_id,
    )  # fmt: skip
    n = count(one)
    return n > 0 and n == count(two) == connection.execute(both).scalar_one()
