"""What RQ calls for a job that checks a version of a text dataset: `jobs.check_texts.run(spec, attempt)`."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from core.events import Type
from core.processes import die_with_parent
from core.quality.texts import alignment
from core.quality.texts import run as checks
from core.quality.texts.foundfile import CHECKS, packed
from core.quality.texts.rules import Rules
from core.settings import Settings
from core.spec import TextCheckSpec
from core.texts import rowfile
from jobs.runtime import Cancelled, Job

if TYPE_CHECKING:
    from core.quality.texts.paired import Model

EMBEDDED = 0.6
"""Share of the progress in which a model, where one is set, reads pairs."""


def run(spec_json: str, attempt: int) -> None:
    """One attempt of the job that the spec describes. Failures end up in the job's row, not in RQ's."""
    die_with_parent()
    logging.basicConfig(level=logging.INFO)
    spec = TextCheckSpec.model_validate_json(spec_json)
    with Job(spec, attempt, Settings.from_env()) as job:
        main(job, spec)


def main(job: Job, spec: TextCheckSpec) -> None:
    with ThreadPoolExecutor() as pool:  # a list in a Parquet file is read by one core
        earlier = pool.submit(_before, job, spec)
        with job.files.open(spec.rows) as file:
            rows = rowfile.opened(file)
        before = earlier.result()
    check(job, spec, rows, before)


def _before(job: Job, spec: TextCheckSpec) -> checks.Before | None:
    """What an earlier check left; None: everything is looked at."""
    if spec.before is None:
        return None
    try:
        findings, seen = (pq.read_table(job.files.local_path(key)) for key in spec.before)
        learnt = Path(job.files.local_path(spec.learnt)).read_bytes() if spec.learnt else None
    except FileNotFoundError:
        return None
    return checks.Before(findings, seen, learnt)


def check(job: Job, spec: TextCheckSpec, rows: pa.Table, before: checks.Before | None) -> None:
    rules = Rules.model_validate(spec.rules)
    checked, embedded = 0.0, 0.0

    def progress(done: float) -> None:
        nonlocal checked
        if job.wanted() == "cancel":
            raise Cancelled
        checked = done
        fraction = (1 - EMBEDDED) * checked + EMBEDDED * embedded if embeds else checked
        job.progress(phase="check", fraction=fraction)

    def embedding(done: float) -> None:
        nonlocal embedded
        embedded = done
        progress(checked)

    def found_by(model: Model | None, without: str) -> checks.Checked:
        return checks.check(rows, spec.shape, rules, before, progress, model, without, anew=spec.anew)

    embeds = spec.shape == checks.PARALLEL and bool(job.settings.embedding_model)
    embeds = embeds and len(rows) >= alignment.LEAST_PAIRS
    if embeds:
        from jobs.meanings import Unusable, reader  # heavy: torch and transformers

        try:
            found = found_by(reader(job, embedding), alignment.BY_WORDS)
        except Unusable as error:
            found = found_by(None, str(error))
    else:
        found = found_by(None, alignment.BY_WORDS)
    learnt_key = job.files.put(found.learnt, "checks", "npz") if found.learnt is not None else None
    with ThreadPoolExecutor() as pool:
        findings, seen = pool.map(
            lambda table: job.files.put(packed(table), "checks", "parquet"), (found.findings, found.seen)
        )
    job.emit(
        Type.RESULT,
        {
            "findings": findings,
            "seen": seen,
            "learnt": learnt_key,
            "summary": found.summary,
            "checks": CHECKS,
        },
    )
