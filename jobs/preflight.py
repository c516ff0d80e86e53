"""What RQ calls for a pre-flight: `jobs.preflight.run(spec, attempt)`."""

from __future__ import annotations

import logging

from core.processes import die_with_parent
from core.settings import Settings
from core.spec import PreflightSpec
from jobs.runtime import Job


def run(spec_json: str, attempt: int) -> None:
    """One attempt of the pre-flight that the spec describes; what it finds is its result, not a failure."""
    die_with_parent()
    logging.basicConfig(level=logging.INFO)
    spec = PreflightSpec.model_validate_json(spec_json)
    with Job(spec, attempt, Settings.from_env()) as job:
        from jobs.vision.preflight import main  # imported late: torch takes seconds

        main(job, spec)
