"""What RQ calls for a training run: `jobs.train.run(spec, attempt)`."""

from __future__ import annotations

import logging

from core.processes import die_with_parent
from core.settings import Settings
from core.spec import RunSpec
from jobs.runtime import Job


def run(spec_json: str, attempt: int) -> None:
    """Train one attempt of the run that the spec describes. Failures end up in the run's row, not in RQ's."""
    die_with_parent()  # a worker that is killed takes its job along; the run goes on elsewhere
    logging.basicConfig(level=logging.INFO)
    spec = RunSpec.model_validate_json(spec_json)
    with Job(spec, attempt, Settings.from_env(), patient=True) as job:
        # Imported late: torch takes seconds, and the run is shown as running meanwhile.
        from jobs.vision.run import main

        main(job, spec)
