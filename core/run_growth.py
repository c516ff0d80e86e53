"""Stored. New trainings that grow out of a run's checkpoints: some epochs more, or its weights as a start."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from core import audit, auth, params, run_control, runs, themes
from core.errors import Conflict, InvalidInput
from core.events import Status
from core.run_control import Checkpoint
from core.runs import Run
from core.spec import Continued, best_beside
from core.workbench import Workbench

STARTS = "starts"
"""Folder of checkpoints that extended runs began with, in the artifacts; `<hash>.ckpt`, best weights beside it."""


def extend(wb: Workbench, actor: auth.User, run_id: int, epochs: int) -> Run:
    """Queue a run that goes on for so many `epochs` from the last checkpoint of one that has ended.

    It learns from the same images with the same parameters; the schedule of the learning rate begins again, over the
    added epochs (Loshchilov and Hutter, “SGDR: Stochastic Gradient Descent with Warm Restarts”, 2017). The earlier
    run stays as it is. Raises NotFound, NotAllowed, InvalidInput where that makes too many epochs, Unavailable when
    the queue is away, and Conflict where the run is under way or has no whole checkpoint.
    """
    auth.require(actor, auth.TRAINER)
    run = runs.get(wb, run_id)
    themes.get(wb, run.theme_id)
    if epochs < 1:
        raise InvalidInput("A run is extended by at least 1 epoch; {n} was asked for.", n=epochs)
    checkpoint = _whole(wb, run, "last")
    chosen = runs.parameters(run)[0].model_dump(mode="json")
    chosen["training"]["epochs"] = checkpoint.epoch + epochs
    longer = params.check(chosen, params.Params)
    frozen = run.spec.model_copy(
        update={
            "params": longer.model_dump(mode="json"),
            "repeats": None,
            "continues": Continued(
                run_id=run_id,
                path=str(_kept(wb, checkpoint).relative_to(wb.settings.artifacts_dir)),
                sha256=checkpoint.sha256,
                epochs=checkpoint.epoch,
            ),
        }
    )
    return runs.begin_again(wb, actor, frozen, "run.extend", {"original": run_id, "epochs": epochs})


def start_from(wb: Workbench, actor: auth.User, run_id: int, kind: str) -> str:
    """Make a checkpoint's weights those that the theme's next training starts with; the file's name.

    `kind` is "last" or "best". The theme's parameters are saved with the weights and the network of that run; all
    else stays. Raises NotFound, NotAllowed, Conflict where there is no whole checkpoint of that kind.
    """
    auth.require(actor, auth.TRAINER)
    run = runs.get(wb, run_id)
    themes.get(wb, run.theme_id)
    checkpoint = _whole(wb, run, kind)
    name = f"run-{run_id}-{kind}-{checkpoint.sha256[:8]}.ckpt"
    wb.files.write(f"weights/{name}", (wb.settings.artifacts_dir / checkpoint.path).read_bytes())
    now, _augmented = params.saved(wb.settings, run.theme_id)
    changed = now.model_dump(mode="json")
    changed["model"] = {
        "architecture": runs.parameters(run)[0].model.architecture,
        "weights": name,
    }
    params.save(wb.settings, run.theme_id, actor.name, params.check(changed, params.Params))
    wb.db.write(
        lambda c: audit.record(c, actor, "run.start-from", f"run {run_id}", {"kind": kind, "weights": name})
    )
    return name


def _whole(wb: Workbench, run: Run, kind: str) -> Checkpoint:
    if run.active or run.status == Status.PAUSED:
        raise Conflict("Run {id} is still under way; wait for its end, or stop it first.", id=run.id)
    found = [each for each in run_control.checkpoints(wb, run.id) if each.kind == kind]
    if not found:
        raise Conflict("Run {id} has no checkpoint any more to go on from.", id=run.id)
    if not run_control.intact(wb, found[0]):
        raise Conflict(
            "The checkpoint of run {id} is damaged on disk, so nothing can go on from it.", id=run.id
        )
    return found[0]


def _kept(wb: Workbench, checkpoint: Checkpoint) -> Path:
    """The file under a name of its own, so that it lasts as long as the run that goes on from it."""
    source = wb.settings.artifacts_dir / checkpoint.path
    place = wb.settings.artifacts_dir / STARTS / f"{checkpoint.sha256}.ckpt"
    place.parent.mkdir(parents=True, exist_ok=True)
    _link(source, place)
    best = source.with_name("best.ckpt")
    if best.exists():
        _link(best, best_beside(place))
    return place


def _link(source: Path, place: Path) -> None:
    """Costs no space while both are there: a checkpoint is never written over, only replaced."""
    if place.exists():
        return
    try:
        os.link(source, place)
    except OSError:  # another file system, or one without links
        part = place.with_suffix(".part")
        shutil.copyfile(source, part)
        part.replace(place)
