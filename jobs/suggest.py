"""What RQ calls for a job that suggests labels: `jobs.suggest.run(spec, attempt)`."""

from __future__ import annotations

import logging
import os

from core.processes import die_with_parent
from core.settings import Settings
from core.spec import SuggestSpec
from jobs.runtime import Job


def run(spec_json: str, attempt: int) -> None:
    """One attempt of the job that the spec describes. Failures end up in the job's row, not in RQ's."""
    die_with_parent()
    os.nice(10)  # nobody waits for it; a training or a model server beside it goes first
    logging.basicConfig(level=logging.INFO)
    spec = SuggestSpec.model_validate_json(spec_json)
    with Job(spec, attempt, Settings.from_env()) as job:
        from jobs.vision.suggest import main  # imported late: torch takes seconds

        main(job, spec)
