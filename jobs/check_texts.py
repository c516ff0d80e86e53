"""What RQ calls for a job that checks a version of a text dataset: `jobs.check_texts.run(spec, attempt)`."""

from __future__ import annotations

import contextlib
import logging

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

EMBEDDED = 0.6
"""Share of the progress at which a model, where one is set, has read every pair."""


def run(spec_json: str, attempt: int) -> None:
    """One attempt of the job that the spec describes. Failures end up in the job's row, not in RQ's."""
    die_with_parent()
    logging.basicConfig(level=logging.INFO)
    spec = TextCheckSpec.model_validate_json(spec_json)
    with Job(spec, attempt, Settings.from_env()) as job:
        main(job, spec)


def main(job: Job, spec: TextCheckSpec) -> None:
    with job.files.open(spec.rows) as file:
        rows = rowfile.opened(file)
    before = None
    if spec.before is not None:
        with contextlib.suppress(FileNotFoundError):  # then everything is looked at
            findings, seen = (pq.read_table(job.files.local_path(key)) for key in spec.before)
            before = checks.Before(findings, seen)

    begun = 0.0

    def progress(done: float) -> None:
        if job.wanted() == "cancel":
            raise Cancelled
        job.progress(phase="check", fraction=begun + (1 - begun) * done)

    meanings, without = None, alignment.BY_WORDS
    if spec.shape == checks.PARALLEL and job.settings.embedding_model and len(rows) >= alignment.LEAST_PAIRS:
        from jobs.meanings import Unusable, embedded  # heavy: torch and transformers

        try:
            meanings = embedded(job, rows, lambda done: progress(EMBEDDED * done))
        except Unusable as error:
            without = str(error)
        begun = EMBEDDED
    rules = Rules.model_validate(spec.rules)
    found = checks.check(rows, spec.shape, rules, before, progress, meanings, without)
    job.emit(
        Type.RESULT,
        {
            "findings": job.files.put(packed(found.findings), "checks", "parquet"),
            "seen": job.files.put(packed(found.seen), "checks", "parquet"),
            "summary": found.summary,
            "checks": CHECKS,
        },
    )
