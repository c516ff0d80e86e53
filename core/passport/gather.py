"""Stored. Everything that is known of one model version, gathered for its passport."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from core import aliases, evidence, ledger, model_benchmarks, proof, registry, run_reports, runs, snapshots
from core.ab import trials
from core.db.tables import (
    dataset_quality_logs,
    deployments,
    label_history,
    model_train_data,
    themes,
    train_data,
    users,
)
from core.db.tables import snapshots as snapshot_rows
from core.errors import VeritrainError
from core.evaluations import report
from core.images import thumbnail_key
from core.images_io import THUMBNAIL_SIDES
from core.passport.structure import (
    Data,
    Decision,
    Evaluation,
    Failure,
    GateThen,
    Given,
    Identity,
    Measured,
    Override,
    Passport,
    Purpose,
    Served,
    Tested,
    Training,
)
from core.quality import frozen
from core.registry import Version
from core.runs import Run
from core.workbench import Workbench

SHOWN = 12
"""Mistakes that are shown with their picture."""
PATIENCE = httpx.Timeout(2.0)
"""For MLflow, which knows little that is not known here."""
POINTS = 120
"""Of a curve."""
CURVES = ("train_loss", "valid_loss", "train_accuracy", "valid_accuracy", "valid_macro_f1")


def passport(wb: Workbench, version_id: int) -> Passport:
    """Raises NotFound. An MLflow that is away is no error: what only it knows is missing then."""
    version = registry.get(wb, version_id)
    run = None if version.run_id is None else runs.get(wb, version.run_id)
    with wb.db.read() as connection:
        purpose = _purpose(connection, version.theme_id)
        data = None if run is None else _data(wb, connection, version, run)
        served = _served(connection, version_id)
    return Passport(
        made_at=datetime.now(UTC),
        identity=_identity(wb, version),
        purpose=purpose,
        data=data,
        training=None if run is None else _training(wb, version, run),
        evaluation=_evaluation(wb, version, run),
        decisions=_decisions(wb, version_id),
        deployments=served,
        tests=_tests(wb, version),
    )


def _identity(wb: Workbench, version: Version) -> Identity:
    try:
        place: str | None = proof.place(wb, version, PATIENCE)
    except (httpx.HTTPError, FileNotFoundError):
        place = None
    return Identity(
        version_id=version.id,
        model=version.model_name,
        version=version.version,
        semver=str(version.semver),
        stage=version.stage,
        aliases=tuple(aliases.of(wb, [version])[version.id]),
        tags=version.tags,
        description=version.description,
        benchmarks={each.name: each.score for each in model_benchmarks.newest(wb, [version.id])[version.id]},
        uri=version.uri,
        kind=version.kind,
        architecture=version.architecture,
        inputs=version.inputs,
        labels=version.labels,
        registered_at=version.created_at,
        files=version.files,
        checksum=version.checksum,
        size=version.size,
        place=place,
    )


def _purpose(connection: sa.Connection, theme_id: int) -> Purpose:
    column = themes.c
    row = connection.execute(
        sa.select(column.name, column.description, column.deleted_at).where(column.id == theme_id)
    ).one()
    return Purpose(theme_id, row.name, row.description, row.deleted_at is not None)


def _data(wb: Workbench, connection: sa.Connection, version: Version, run: Run) -> Data:
    kept = run.spec.snapshot
    row = connection.execute(sa.select(snapshot_rows).where(snapshot_rows.c.id == kept.id)).one()
    checked_at, gate, override = _checks(connection, run)
    return Data(
        snapshot_id=kept.id,
        hash=version.snapshot_hash or kept.hash,
        path=kept.path,
        frozen_at=row.created_at,
        counts=row.counts,
        labelled=_labelled(connection, version, run.created_at),
        test_hash=_test_hash(wb, run),
        checked_at=checked_at,
        gate=gate,
        override=override,
    )


def _labelled(connection: sa.Connection, version: Version, at: datetime) -> tuple[Given, ...]:
    """Of each image the last act before the training, where it gave the label that the version learnt."""
    act, learnt = label_history.c, model_train_data.c
    last = (
        sa.select(
            act.user_id,
            act.source,
            act.to_label_id,
            learnt.label_id,
            sa.func.row_number().over(partition_by=act.image_id, order_by=act.id.desc()).label("place"),
        )
        .select_from(label_history)
        .join(model_train_data, learnt.image_id == act.image_id)
        .where(learnt.version_id == version.id, act.theme_id == version.theme_id, act.at <= at)
        .subquery()
    )
    n = sa.func.count().label("n")
    query = (
        sa.select(sa.func.coalesce(users.c.name, "").label("name"), last.c.source, n)
        .select_from(last)
        .outerjoin(users, users.c.id == last.c.user_id)
        .where(last.c.place == 1, last.c.to_label_id == last.c.label_id)
        .group_by(users.c.name, last.c.source)
        .order_by(n.desc(), sa.text("name"), last.c.source)
    )
    return tuple(Given(row.name, row.source, row.n) for row in connection.execute(query))


def _test_hash(wb: Workbench, run: Run) -> str | None:
    try:
        table = snapshots.read(wb, snapshots.get(wb, run.spec.snapshot.id))
    except (OSError, KeyError, pa.ArrowException):
        return None
    columns: dict[str, list[Any]] = table.select(["sha256", "label", "split"]).to_pydict()
    rows = zip(columns["sha256"], columns["label"], columns["split"], strict=True)
    return frozen.content_hash((sha256, label) for sha256, label, split in rows if split == "test")


def _checks(connection: sa.Connection, run: Run) -> tuple[datetime | None, GateThen | None, Override | None]:
    """The newest check and the newest word on the gate before the run, and who let it start in spite of a FAIL."""
    entry = dataset_quality_logs.c
    of_theme = (
        sa.select(entry.at, entry.action, entry.score, entry.passed, entry.detail, users.c.name)
        .select_from(dataset_quality_logs)
        .outerjoin(users, users.c.id == entry.user_id)
        .where(entry.theme_id == run.theme_id)
        .order_by(entry.id.desc())
    )
    before = of_theme.where(entry.at <= run.created_at, entry.action != "override").limit(1)
    check = connection.execute(before.where(entry.action == "check")).one_or_none()
    judged = connection.execute(before.where(entry.passed.is_not(None))).one_or_none()
    override = None
    for row in connection.execute(of_theme.where(entry.action == "override")):
        if row.detail.get("run") == run.id:
            override = Override(row.at, row.name or "", str(row.detail.get("reason", "")))
    gate = GateThen(judged.at, judged.passed, judged.score) if judged is not None else None
    return check.at if check is not None else None, gate, override


def _training(wb: Workbench, version: Version, run: Run) -> Training:
    spec, result = run.spec, run.result or {}
    kept = (
        "device", "precision", "threads", "processes", "versions", "epochs_run", "best_epoch", "seconds",
        "images_per_second", "attempts", "weights_sha256",
    )  # fmt: skip
    series = run_reports.metrics(wb, run.id, POINTS)
    return Training(
        run_id=run.id,
        started_by=run.created_by,
        created_at=run.created_at,
        ended_at=run.ended_at,
        params=spec.params,
        auguments=spec.auguments,
        code=version.code,
        continues=spec.continues.run_id if spec.continues else None,
        tuning=spec.trial.tuning if spec.trial else None,
        result={name: result[name] for name in kept if result.get(name) is not None},
        curves={
            name: tuple((epoch, value) for _step, epoch, value in series[name])
            for name in CURVES
            if name in series
        },
    )


def _evaluation(wb: Workbench, version: Version, run: Run | None) -> Evaluation:
    if run is None:
        return Evaluation(version.metrics, (), (), None)
    result = run.result or {}
    try:
        found: report.Report | None = report.of_run(wb, run.id)
    except VeritrainError:
        found = None
    return Evaluation(
        metrics=version.metrics,
        per_class=tuple(result.get("per_class", {}).get("test", ())),
        confusion=tuple(tuple(row) for row in result.get("confusion", {}).get("test", ())),
        measured=None if found is None else _measured(wb, found),
    )


def _measured(wb: Workbench, found: report.Report) -> Measured:
    answers = found.answers
    wrong = np.flatnonzero(~answers.right)
    worst = wrong[np.argsort(-answers.confidence[wrong], kind="stable")][:SHOWN]
    return Measured(
        n=len(answers.ids),
        accuracy=found.accuracy,
        macro_f1=found.macro_f1,
        calibration=found.calibration,
        slices=found.slices,
        failures=_failures(wb, found, worst),
        wrong=len(wrong),
        advice=found.advice,
    )


def _failures(wb: Workbench, found: report.Report, worst: np.ndarray) -> tuple[Failure, ...]:
    answers, image = found.answers, train_data.c
    ids = answers.ids[worst].tolist()
    query = sa.select(image.id, image.file_name, image.sha256).where(image.id.in_(ids))
    with wb.db.read() as connection:
        known: dict[int, Any] = {row.id: row for row in connection.execute(query)}
    return tuple(
        Failure(
            image_id=image_id,
            file_name=known[image_id].file_name,
            sha256=known[image_id].sha256,
            label=answers.labels[answers.truth[place]],
            said=answers.labels[answers.predicted[place]],
            confidence=float(answers.confidence[place]),
            picture=_thumbnail(wb, known[image_id].sha256),
        )
        for image_id, place in zip(ids, worst.tolist(), strict=True)
        if image_id in known
    )


def _thumbnail(wb: Workbench, sha256: str) -> bytes | None:
    """The smallest; of a small image there is only the largest."""
    for side in THUMBNAIL_SIDES:
        with suppress(OSError):
            return wb.files.read(thumbnail_key(sha256, side))
    return None


def _decisions(wb: Workbench, version_id: int) -> tuple[Decision, ...]:
    entries = ledger.entries(wb, version_id=version_id)
    known = registry.by_id(wb, evidence.others(entry.evidence for entry in entries), deleted=True)
    return tuple(
        Decision(
            id=each.id,
            at=each.at,
            person=each.actor,
            from_stage=each.from_stage,
            to_stage=each.to_stage,
            reason=each.reason,
            evidence=each.evidence,
            others={other: known[other].version for other in sorted(evidence.others([each.evidence]))},
            evidence_hash=each.evidence_hash,
            previous_hash=each.previous_hash,
            hash=each.hash,
        )
        for each in entries
    )


def _served(connection: sa.Connection, version_id: int) -> tuple[Served, ...]:
    column = deployments.c
    query = (
        sa.select(column.id, users.c.name, column.created_at, column.status, column.updated_at)
        .select_from(deployments)
        .outerjoin(users, users.c.id == column.created_by)
        .where(column.version_id == version_id)
        .order_by(column.id)
    )
    return tuple(Served(*row) for row in connection.execute(query))


def _tests(wb: Workbench, version: Version) -> tuple[Tested, ...]:
    """Those that have started, the first one first."""
    found: list[Tested] = []
    every: list[trials.Trial] = []
    while page := trials.listed(wb, version.theme_id, after=every[-1].id if every else None):
        every += page
    for trial in reversed(every):
        plan = trial.plan
        if version.id not in plan.versions or trial.status == trials.DRAFT:
            continue
        outcome = trial.outcome or {}
        found.append(
            Tested(
                id=trial.id,
                name=trial.name,
                status=trial.status,
                variant=plan.names[plan.versions.index(version.id)],
                metric=plan.primary,
                started_at=trial.started_at,
                ended_at=trial.ended_at,
                seal=trial.seal,
                intact=trial.intact,
                winner=outcome.get("winner"),
                reason=outcome.get("reason"),
                verdict=outcome.get("verdict"),
            )
        )
    return tuple(found)
