"""The training itself: a Lightning Trainer that reports, keeps its best and last weights, and can go on.

Chance comes from (seed, epoch, image) for augmentation and order and from (seed, step) for dropout,
so a run that was killed and resumed ends with the bits of one that was not.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy

from core.params import Auguments, Params
from jobs.runtime import Cancelled
from jobs.vision import checkpoints, features, loss, optimisers
from jobs.vision.data import EvalBatches, Pictures, TrainBatches
from jobs.vision.hardware import Hardware
from jobs.vision.module import EVAL_BATCH, Module
from jobs.vision.reporter import Outlet, Reporter, Stopped
from jobs.vision.team import ALONE, Team


@dataclass
class Trained:
    """What the training left; kept beside the run so that a resumed attempt can go on from here."""

    epochs_run: int
    best_epoch: int
    """From 1."""
    seconds: float
    images_per_second: float
    parts: int = 1
    """Into how many parts a batch was cut, since memory was not enough for the whole."""


@dataclass(frozen=True)
class Start:
    """The checkpoint of another run that this one goes on from."""

    path: Path
    sha256: str
    epochs: int
    """That it had run."""


class Checkpoint(ModelCheckpoint):
    """A ModelCheckpoint that tells the outlet of each new file. `kind` is "last" or "best"."""

    def __init__(self, kind: str, outlet: Outlet, **options: Any) -> None:
        super().__init__(filename=kind, enable_version_counter=False, save_on_train_epoch_end=True, **options)
        self._kind = kind
        self._outlet = outlet
        self.best_epoch = 0

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_epoch = state_dict["best_epoch"]
        super().load_state_dict(state_dict)

    def _save_checkpoint(self, trainer: pl.Trainer, filepath: str) -> None:
        self.best_epoch = trainer.current_epoch + 1
        super()._save_checkpoint(trainer, filepath)
        score = self.current_score
        self._outlet.checkpoint(
            Path(filepath),
            self.best_epoch,
            trainer.global_step,
            float(score) if score is not None else None,
            self._kind,
        )


def fit(
    network: torch.nn.Module,
    params: Params,
    auguments: Auguments,
    train: Pictures,
    valid: Pictures,
    hardware: Hardware,
    folder: Path,
    outlet: Outlet,
    labels: int,
    *,
    team: Team = ALONE,
    start: Start | None = None,
) -> Trained:
    """Train from the newest whole checkpoint in `folder` where there is one, else from `start`.

    `best.ckpt` lies beside it. Raises Diverged, Paused, and Cancelled: also where a person stopped it to keep what
    it has, but no epoch was measured yet.
    """
    _quiet()
    chosen = params.training
    featured = features.steady(params, auguments)
    if featured:
        train, valid = (
            features.seen(network, params, auguments, part, hardware, EVAL_BATCH) for part in (train, valid)
        )
    device = torch.device(hardware.device, team.rank) if hardware.device == "cuda" else torch.device("cpu")
    train, valid = train.near(device), valid.near(device)
    batches = TrainBatches(
        train,
        chosen.batch_size,
        chosen.seed,
        lambda: module.current_epoch,
        lambda: module.take_position(),
        share=(team.rank, team.size),
    )
    even = chosen.class_weights == "balanced"
    weights = loss.balanced(train.rows.targets, labels) if even else None
    steps = len(batches) * (chosen.epochs - (start.epochs if start else 0))
    module = Module(network, params, auguments, steps, labels, weights, team, featured)
    if start is not None and checkpoints.newest(folder) is None and team.rank == 0:
        begun = optimisers.begun(network, params, steps)
        checkpoints.adopt(start.path, start.sha256, folder, begun)
    reporter = Reporter(outlet, len(batches), chosen.epochs, folder, team)
    best, callbacks = _callbacks(params, hardware, folder, outlet, reporter)
    spread = team.size > 1
    trainer = pl.Trainer(
        max_epochs=chosen.epochs,
        accelerator="gpu" if hardware.device == "cuda" else "cpu",
        devices=team.size,
        strategy=DDPStrategy(process_group_backend="nccl" if hardware.device == "cuda" else "gloo")
        if spread
        else "auto",
        use_distributed_sampler=False,  # the batches are shared out already
        precision="bf16-mixed" if hardware.precision == "bf16" else "32-true",
        deterministic="warn" if hardware.device == "cpu" else False,
        benchmark=False,  # trying all ways to compute takes seconds for each shape, and gains nothing that shows
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        callbacks=callbacks,
        plugins=[checkpoints.SafeFiles(), *([LightningEnvironment()] if spread else [])],
    )
    # Deterministic mode would also fill every new tensor, which costs a tenth of the speed.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    evaluated = EvalBatches(valid, EVAL_BATCH, share=(team.rank, team.size))
    try:
        trainer.fit(
            module,
            train_dataloaders=batches,
            val_dataloaders=evaluated,
            ckpt_path=checkpoints.newest(folder),
        )
    except Stopped:
        if not (folder / checkpoints.BEST).exists():
            raise Cancelled from None
    return Trained(
        epochs_run=reporter.epochs_run,
        best_epoch=best.best_epoch,
        seconds=reporter.seconds,
        images_per_second=reporter.images / max(reporter.training_seconds, 1e-9),
        parts=module.parts,
    )


def _callbacks(
    params: Params, hardware: Hardware, folder: Path, outlet: Outlet, reporter: Reporter
) -> tuple[Checkpoint, list[pl.Callback]]:
    """The keeper of the best weights, and all callbacks in the order in which they must be asked."""
    stopping = params.early_stopping
    mode = "min" if stopping.metric == "valid_loss" else "max"
    averaged = params.training.ema_decay > 0.0
    best = Checkpoint(
        "best",
        outlet,
        dirpath=folder,
        monitor=stopping.metric,
        mode=mode,
        save_weights_only=not averaged,  # Lightning asks no callback for averages where only weights are saved
    )
    last = Checkpoint("last", outlet, dirpath=folder)
    callbacks: list[pl.Callback] = []
    if params.training.freeze_epochs:
        callbacks.append(optimisers.Freezing(params))
    if averaged:
        # A checkpoint's `state_dict` is the average, which is measured and exported; the weights lie beside it.
        callbacks.append(EMAWeightAveraging(device=hardware.device, decay=params.training.ema_decay))
    callbacks.append(reporter)  # it writes checkpoints in mid-epoch, which know of the average by then
    if stopping.enabled:
        callbacks.append(
            EarlyStopping(
                stopping.metric, mode=mode, patience=stopping.patience, check_on_train_epoch_end=True
            )
        )
    return best, [*callbacks, best, last]  # in this order: what `last` holds knows of the newest `best`


def _quiet() -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
