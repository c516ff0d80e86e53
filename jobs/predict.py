"""What RQ calls for a job that predicts a batch of images: `jobs.predict.run(spec, attempt)`."""

from __future__ import annotations

import logging

from core.processes import die_with_parent
from core.settings import Settings
from core.spec import PredictSpec
from jobs.runtime import Job


def run(spec_json: str, attempt: int) -> None:
    """One attempt of the job that the spec describes. Failures end up in the job's row, not in RQ's."""
    die_with_parent()
    logging.basicConfig(level=logging.INFO)
    spec = PredictSpec.model_validate_json(spec_json)
    with Job(spec, attempt, Settings.from_env()) as job:
        from jobs.vision.batch_predict import main  # imported late: torch takes seconds

        main(job, spec)
