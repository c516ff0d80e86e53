"""What RQ calls for a job that splits a version of a text dataset: `jobs.split_texts.run(spec, attempt)`."""

from __future__ import annotations

import logging
from dataclasses import asdict

from core.events import Type
from core.processes import die_with_parent
from core.quality.texts import dealing
from core.settings import Settings
from core.spec import TextSplitSpec
from jobs.runtime import Cancelled, Job


def run(spec_json: str, attempt: int) -> None:
    """One attempt of the job that the spec describes. Failures end up in the job's row, not in RQ's."""
    die_with_parent()
    logging.basicConfig(level=logging.INFO)
    spec = TextSplitSpec.model_validate_json(spec_json)
    with Job(spec, attempt, Settings.from_env()) as job:
        main(job, spec)


def main(job: Job, spec: TextSplitSpec) -> None:
    def progress(done: float) -> None:
        if job.wanted() == "cancel":
            raise Cancelled
        job.progress(phase="split", fraction=done)

    dealt = dealing.deal(job.files, spec.rows, spec.ratios, spec.seed, spec.likeness, progress)
    job.emit(Type.RESULT, asdict(dealt))
