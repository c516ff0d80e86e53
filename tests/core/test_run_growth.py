"""New trainings out of a run's checkpoints; the files are real, their contents are any bytes."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from core import auth, params, run_control, run_growth, runs
from core.collector import Collector
from core.db.tables import finetuning_jobs
from core.errors import Conflict, InvalidInput, NotAllowed
from core.events import Event, Type
from core.workbench import Workbench
from tests.steps import ready_theme
from tests.trained import finished


def left(wb: Workbench, run_id: int, **files: bytes) -> None:
    """Let a run have left these checkpoints after its fourth epoch."""
    folder = wb.settings.artifacts_dir / "runs" / str(run_id) / "checkpoints"
    folder.mkdir(parents=True)
    with wb.db.read() as connection:
        query = sa.select(finetuning_jobs.c.last_event).where(finetuning_jobs.c.id == run_id)
        number = connection.execute(query).scalar_one()
    told = []
    for kind, data in files.items():
        path = folder / f"{kind}.ckpt"
        path.write_bytes(data)
        number += 1
        payload = {
            "path": str(path.relative_to(wb.settings.artifacts_dir)),
            "sha256": hashlib.sha256(data).hexdigest(),
            "epoch": 4,
            "step": 40,
            "metric": None,
            "kind": kind,
        }
        told.append(Event(run_id, number, 1, datetime.now(UTC), Type.CHECKPOINT, payload))
    Collector(wb).store(told)


def test_an_extension_is_a_run_of_its_own_that_goes_on_from_the_last_checkpoint(
    wb: Workbench, trainer: auth.User, viewer: auth.User
) -> None:
    theme = ready_theme(wb, trainer)
    first = finished(wb, trainer, theme.id, lambda _id: True)
    with pytest.raises(Conflict, match="no checkpoint any more"):
        run_growth.extend(wb, trainer, first.id, 3)
    left(wb, first.id, last=b"last", best=b"best")
    with pytest.raises(NotAllowed):
        run_growth.extend(wb, viewer, first.id, 3)
    for epochs in (0, 999):  # 4 + 999 are more than a training may have
        with pytest.raises(InvalidInput):
            run_growth.extend(wb, trainer, first.id, epochs)
    longer = run_growth.extend(wb, trainer, first.id, 3)
    assert (longer.status, longer.spec.params["training"]["epochs"]) == ("queued", 7)
    assert longer.spec.snapshot == first.spec.snapshot
    began = longer.spec.continues
    assert began is not None and (began.run_id, began.epochs) == (first.id, 4)
    with pytest.raises(Conflict, match="still under way"):
        run_growth.extend(wb, trainer, longer.id, 3)

    # The first run's files may go: what the longer one begins with stays until nobody needs it.
    start = wb.settings.artifacts_dir / began.path
    run_control.remove_checkpoints(wb, trainer, first.id)
    assert start.read_bytes() == b"last"
    assert start.with_name(f"{start.stem}-best.ckpt").read_bytes() == b"best"
    run_control.stop(wb, trainer, longer.id)
    assert run_control.remove_checkpoints(wb, trainer, longer.id) == 8
    assert not start.exists()


def test_a_damaged_checkpoint_is_seen_and_nothing_starts_from_it(
    wb_duckdb: Workbench, trainer: auth.User
) -> None:
    wb = wb_duckdb
    first = finished(wb, trainer, ready_theme(wb, trainer).id, lambda _id: True)
    left(wb, first.id, last=b"last", best=b"best")
    (wb.settings.artifacts_dir / f"runs/{first.id}/checkpoints/last.ckpt").write_bytes(b"lost")
    states = {each.kind: run_control.intact(wb, each) for each in run_control.checkpoints(wb, first.id)}
    assert states == {"last": False, "best": True}
    before = len(runs.history(wb))
    with pytest.raises(Conflict, match="damaged on disk"):
        run_growth.extend(wb, trainer, first.id, 1)
    with pytest.raises(Conflict, match="damaged on disk"):
        run_growth.start_from(wb, trainer, first.id, "last")
    assert len(runs.history(wb)) == before


def test_a_checkpoint_becomes_the_starting_weights_of_the_theme(
    wb_duckdb: Workbench, trainer: auth.User
) -> None:
    wb = wb_duckdb
    theme = ready_theme(wb, trainer)
    first = finished(wb, trainer, theme.id, lambda _id: True)
    left(wb, first.id, best=b"best")
    now, _augmented = params.saved(wb.settings, theme.id)
    other = now.model_copy(update={"training": now.training.model_copy(update={"epochs": 77})})
    params.save(wb.settings, theme.id, "somebody", other)
    name = run_growth.start_from(wb, trainer, first.id, "best")
    saved, _augmented = params.saved(wb.settings, theme.id)
    assert saved.model.weights == name and saved.training.epochs == 77
    assert saved.model.architecture == first.spec.params["model"]["architecture"]
    assert wb.files.read(f"weights/{name}") == b"best"
