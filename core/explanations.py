"""Stored. Where a run's model looked in an image (Grad-CAM), asked of the warm worker."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from core import images, runs, warm
from core.errors import Conflict, InvalidInput
from core.spec import ExplainSpec
from core.workbench import Workbench

ENTRY = "jobs.explain.run"
MOST = 12
"""Images that are explained at once."""


@dataclass(frozen=True)
class Explanation:
    image_id: int
    png: bytes | None
    """The image as the network saw it, with warm colours where it looked; None where it cannot be read."""
    label: str
    """Whose evidence is shown: what the model says."""
    confidence: float


def ask(wb: Workbench, run_id: int, image_ids: Sequence[int]) -> list[Explanation]:
    """Explanations of at most MOST images of the run's theme, in the order of `image_ids`.

    Raises NotFound, InvalidInput for too many, Conflict where the run has no model of its own, Unavailable when the
    worker does not answer.
    """
    if len(image_ids) > MOST:
        raise InvalidInput(
            "{n} images are too many at once; choose at most {most}.", n=len(image_ids), most=MOST
        )
    run = runs.get(wb, run_id)
    folder = wb.settings.artifacts_dir / "runs" / str(run_id) / "model"
    if not (folder / "config.json").exists():
        raise Conflict("The model of run {id} is not kept beside it, so nothing can be shown.", id=run_id)
    rows = images.rows(wb, run.theme_id, list(image_ids))
    spec = ExplainSpec(folder=str(folder), paths=tuple(row.image_path for row in rows))
    answer = warm.ask(wb, ENTRY, spec.model_dump_json())
    return [
        Explanation(
            row.id,
            base64.b64decode(found["png"]) if found else None,
            found["label"] if found else "",
            found["confidence"] if found else 0.0,
        )
        for row, found in zip(rows, answer["images"], strict=True)
    ]
