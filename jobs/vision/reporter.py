"""Tells what happens in a training, and does what people ask of it meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping

from core.errors import VeritrainError
from core.events import Wish
from jobs.runtime import Cancelled, Paused
from jobs.vision import checkpoints
from jobs.vision.module import Judged, Module
from jobs.vision.team import Team

PROGRESS_SECONDS = 0.5
TELL_SECONDS = 0.25
"""Measurements are fetched from a GPU this often: each fetch waits until it has computed all it was given."""
METRIC_POINTS = 1000
"""Steps between two training metrics are chosen so that a run has about this many at most."""
SAVE_SECONDS = 300.0
"""In a long epoch a checkpoint is written this often."""


class Diverged(VeritrainError):
    """The loss is no number any more."""


class Stopped(Exception):
    """A person ended the training early and wants what it has."""


@dataclass(frozen=True)
class Outlet:
    """Where the training reports to. `wanted` says what a person asked for, see core.events.Wish, or None."""

    metric: Callable[[int, float, dict[str, float]], None]
    progress: Callable[[int, int, int, int, float | None], None]
    """epoch, epochs, step, steps, seconds left."""
    checkpoint: Callable[[Path, int, int, float | None, str], None]
    """file, epoch, step, value of the metric that decides, "last" or "best"."""
    wanted: Callable[[], str | None]
    judged: Callable[[int, int, Judged], None]
    """step, epoch, what its validation found."""
    smaller: Callable[[int, int], None]
    """step, into how many parts a batch is cut from now on: the memory was not enough for the whole."""

    @classmethod
    def silent(cls) -> Self:
        """Nobody listens and nobody asks."""
        return cls(
            lambda *_: None, lambda *_: None, lambda *_: None, lambda: None, lambda *_: None, lambda *_: None
        )


@dataclass(frozen=True)
class _Measured:
    """What a stretch of steps found, still where it was computed."""

    step: int
    loss: torch.Tensor
    right: torch.Tensor
    seen: int
    rate: float


class Reporter(pl.Callback):
    """Tells the outlet what happens and counts time, over all attempts."""

    KEPT = ("seconds", "training_seconds", "images", "epochs_run")

    def __init__(self, outlet: Outlet, batches: int, epochs: int, folder: Path, team: Team) -> None:
        self._outlet = outlet
        self._last = folder / checkpoints.LAST
        self._team = team
        self._finish = False
        self._batches = batches
        self._epochs = epochs
        self._stride = max(batches * epochs // METRIC_POINTS, 1)
        self.seconds = 0.0
        self.images = 0
        self.epochs_run = 0
        self.training_seconds = 0.0
        self._losses: list[torch.Tensor] = []
        self._right: list[torch.Tensor] = []
        self._seen = 0
        self._untold: list[_Measured] = []
        self._told = 0.0
        self._patience = 0.0
        self._parts = 1
        self._mark = self._epoch_start = self._said = self._saved = time.monotonic()
        self._first_step = 0
        self._started = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        kept = {name: getattr(self, name) for name in self.KEPT}
        # What was not told yet of the present stretch of steps.
        return {
            **kept,
            "losses": [float(loss) for loss in self._losses],
            "right": [float(right) for right in self._right],
            "seen": self._seen,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name in self.KEPT:
            setattr(self, name, state_dict[name])
        self._losses = [torch.tensor(loss) for loss in state_dict["losses"]]
        self._right = [torch.tensor(right) for right in state_dict["right"]]
        self._seen = state_dict["seen"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Module)
        self._mark = self._started = time.monotonic()
        self._first_step = trainer.global_step
        self._parts = pl_module.parts
        # A team must fetch at the same steps.
        on_gpu = pl_module.device.type == "cuda"
        self._patience = TELL_SECONDS if on_gpu and self._team.size == 1 else 0.0
        self._losses = [loss.to(pl_module.device) for loss in self._losses]
        self._right = [right.to(pl_module.device) for right in self._right]
        early = trainer.early_stopping_callback
        if isinstance(early, EarlyStopping) and early.wait_count >= early.patience:
            trainer.should_stop = True  # it had stopped already when the attempt before this one ended

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._epoch_start = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, Module)
        self._losses.append(outputs["loss"])
        self._right.append(outputs["right"])
        self._seen += len(batch[1])
        self.images += len(batch[1]) * self._team.size
        step = trainer.global_step
        last = batch_idx + 1 == self._batches
        if pl_module.parts != self._parts:
            self._parts = pl_module.parts
            self._outlet.smaller(step, self._parts)
        if step % self._stride == 0 or last:
            self._measure(trainer, step)
        if last or time.monotonic() - self._told >= self._patience:
            self._tell(trainer.current_epoch + 1)
            self._told = time.monotonic()
        now = time.monotonic()
        if last:
            self.training_seconds += now - self._epoch_start
        if now - self._said >= PROGRESS_SECONDS or last:
            self._said = now
            steps = self._batches * self._epochs
            pace = (now - self._started) / max(step - self._first_step, 1)
            self._outlet.progress(
                trainer.current_epoch + 1, self._epochs, step, steps, pace * max(steps - step, 0)
            )
        self._heed(trainer, pl_module, batch_idx)

    def _measure(self, trainer: pl.Trainer, step: int) -> None:
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        loss, right = torch.stack(self._losses).mean(), torch.stack(self._right).sum()
        self._untold.append(_Measured(step, loss, right, self._seen, rate))
        self._losses, self._right, self._seen = [], [], 0

    def _tell(self, epoch: int) -> None:
        for found in self._untold:
            mean = self._team.mean(float(found.loss))
            if not np.isfinite(mean):
                raise Diverged(
                    "The loss became infinite in epoch {epoch}; lower the learning rate, "
                    "or set the precision to fp32.",
                    epoch=epoch,
                )
            values = {
                "train_loss": mean,
                "train_accuracy": self._team.mean(float(found.right) / found.seen),
                "learning_rate": found.rate,
            }
            self._outlet.metric(found.step, found.step / self._batches, values)
        self._untold = []

    def _heed(self, trainer: pl.Trainer, pl_module: Module, batch_idx: int) -> None:
        """Do what a person asked for. Raises Paused, Cancelled and Stopped, once a checkpoint is on disk."""
        due = time.monotonic() - self._saved >= SAVE_SECONDS
        wish, due = self._team.first_says((self._outlet.wanted(), due))
        self._finish |= wish == Wish.FINISH
        # After the last batch of an epoch its validation comes first; then nothing is measured twice.
        if batch_idx + 1 == self._batches:
            return
        if due or wish in (Wish.PAUSE, Wish.CANCEL, Wish.KEEP):
            self._save(trainer, pl_module, batch_idx + 1)
        if wish == Wish.PAUSE:
            raise Paused
        if wish == Wish.CANCEL:
            raise Cancelled
        if wish == Wish.KEEP:
            raise Stopped

    def _save(self, trainer: pl.Trainer, pl_module: Module, position: int) -> None:
        self._tell(trainer.current_epoch + 1)
        now = time.monotonic()
        self.seconds += now - self._mark
        self.training_seconds += now - self._epoch_start
        self._mark = self._epoch_start = now
        pl_module.position = position
        trainer.save_checkpoint(self._last)
        pl_module.position = 0
        self._saved = time.monotonic()
        self._outlet.checkpoint(self._last, trainer.current_epoch, trainer.global_step, None, "last")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Module)
        now = time.monotonic()
        self.epochs_run = trainer.current_epoch + 1
        self.seconds += now - self._mark
        self._mark = now
        values = {
            name: float(trainer.callback_metrics[name])
            for name in ("valid_loss", "valid_accuracy", "valid_macro_f1")
        }
        values["images_per_second"] = self.images / max(self.training_seconds, 1e-9)
        self._saved = now
        # Asked again: a person may have wished so while the epoch was validated.
        self._finish |= self._team.first_says(self._outlet.wanted()) == Wish.FINISH
        if self._finish:
            trainer.should_stop = True
        self._outlet.metric(trainer.global_step, trainer.current_epoch + 1.0, values)
        if pl_module.judged is not None:
            self._outlet.judged(trainer.global_step, trainer.current_epoch + 1, pl_module.judged)
