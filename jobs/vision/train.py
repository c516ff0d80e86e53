"""The training itself: a Lightning Trainer that reports, keeps its best and last weights, and can go on.

Chance comes from (seed, epoch, image) for augmentation and order and from (seed, step) for dropout,
so a run that was killed and resumed ends with the bits of one that was not.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from sklearn.metrics import f1_score
from torch.nn import functional as F

from core.errors import VeritrainError
from core.events import Wish
from core.params import Auguments, Params
from jobs.runtime import Cancelled, Paused
from jobs.vision import checkpoints, loss, optimisers
from jobs.vision.data import Batch, EvalBatches, Pictures, TrainBatches
from jobs.vision.hardware import Hardware
from jobs.vision.imaging import answers, normalize
from jobs.vision.mixing import Mixer
from jobs.vision.transforms import Augmenter

PROGRESS_SECONDS = 0.5
METRIC_POINTS = 1000
"""Steps between two training metrics are chosen so that a run has about this many at most."""
EVAL_BATCH = 256


SAVE_SECONDS = 300.0
"""In a long epoch a checkpoint is written this often."""


class Diverged(VeritrainError):
    """The loss is no number any more."""


class Stopped(Exception):
    """A person ended the training early and wants what it has."""


@dataclass
class Trained:
    """What the training left; kept beside the run so that a resumed attempt can go on from here."""

    epochs_run: int
    best_epoch: int
    """From 1."""
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class Outlet:
    """Where the training reports to. `wanted` says what a person asked for, see core.events.Wish, or None."""

    metric: Callable[[int, float, dict[str, float]], None]
    progress: Callable[[int, int, int, int, float | None], None]
    """epoch, epochs, step, steps, seconds left."""
    checkpoint: Callable[[Path, int, int, float | None, str], None]
    """file, epoch, step, value of the metric that decides, "last" or "best"."""
    wanted: Callable[[], str | None]


class Module(pl.LightningModule):
    """One network with its loss and optimiser; `on_after_batch_transfer` makes floats of uint8 batches."""

    def __init__(
        self,
        network: torch.nn.Module,
        params: Params,
        auguments: Auguments,
        batches: int,
        labels: int,
        weights: torch.Tensor | None,
    ) -> None:
        """`weights` (labels,): how much each label counts in the loss of the training."""
        super().__init__()
        self._params = params
        self._mix = Mixer(auguments, params.training.seed, labels)
        self._weights = weights
        self.network = network.to(memory_format=torch.channels_last)
        self._training = params.training
        self._augment = Augmenter(auguments, params.training.seed)
        self._preprocessing = auguments.preprocessing.model_dump()
        self._batches = batches
        self._outputs: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.position = 0
        """Batches of the present epoch that were learnt from when the checkpoint was written."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["position"] = self.position

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.position = checkpoint["position"]

    def take_position(self) -> int:
        """Where the epoch that begins now goes on; every other epoch begins at 0."""
        position, self.position = self.position, 0
        return position

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> tuple[torch.Tensor, torch.Tensor]:
        images, targets, ids = batch
        if self.trainer.training:
            floats = self._augment(images, ids.cpu().numpy(), self.current_epoch)
            floats, targets = self._mix(floats, targets, self.global_step)
        else:
            floats = normalize(images.float().div_(255.0), self._preprocessing)
        return floats.contiguous(memory_format=torch.channels_last), targets

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        torch.manual_seed((self._training.seed << 32) + self.global_step)

    def training_step(
        self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int
    ) -> dict[str, torch.Tensor]:
        images, targets = batch
        logits = self.network(images).float()
        weights = self._weights.to(logits.device) if self._weights is not None else None
        found = loss.cross_entropy(logits, targets, self._training.label_smoothing, weights)
        return {"loss": found, "right": loss.right(logits, targets)}

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> None:
        images, targets = batch
        self._outputs.append((answers(self.network, images, self._preprocessing, EVAL_BATCH), targets))

    def on_validation_epoch_end(self) -> None:
        logits = torch.cat([logits for logits, _ in self._outputs])
        targets = torch.cat([targets for _, targets in self._outputs])
        self._outputs.clear()
        predicted = logits.argmax(dim=1)
        f1 = f1_score(
            targets.cpu().numpy(),
            predicted.cpu().numpy(),
            labels=np.arange(logits.shape[1]),
            average="macro",
            zero_division=0,
        )
        self.log("valid_loss", F.cross_entropy(logits, targets))
        self.log("valid_accuracy", (predicted == targets).float().mean())
        self.log("valid_macro_f1", float(f1))

    def configure_optimizers(self) -> Any:
        return optimisers.build(self.network, self._params, self._batches * self._training.epochs)


class Reporter(pl.Callback):
    """Tells the outlet what happens and counts time, over all attempts."""

    _KEPT = ("seconds", "training_seconds", "images", "epochs_run")

    def __init__(self, outlet: Outlet, batches: int, epochs: int, folder: Path) -> None:
        self._outlet = outlet
        self._last = folder / checkpoints.LAST
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
        self._mark = self._epoch_start = self._said = self._saved = time.monotonic()
        self._first_step = 0
        self._started = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        kept = {name: getattr(self, name) for name in self._KEPT}
        # What was not told yet of the present stretch of steps.
        return {
            **kept,
            "losses": [float(loss) for loss in self._losses],
            "right": [float(right) for right in self._right],
            "seen": self._seen,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name in self._KEPT:
            setattr(self, name, state_dict[name])
        self._losses = [torch.tensor(loss) for loss in state_dict["losses"]]
        self._right = [torch.tensor(right) for right in state_dict["right"]]
        self._seen = state_dict["seen"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._mark = self._started = time.monotonic()
        self._first_step = trainer.global_step
        early = trainer.early_stopping_callback
        if isinstance(early, EarlyStopping) and early.wait_count >= early.patience:
            trainer.should_stop = True  # it had stopped already when the attempt before this one ended

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._epoch_start = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._losses.append(outputs["loss"].detach())
        self._right.append(outputs["right"])
        self._seen += len(batch[1])
        self.images += len(batch[1])
        step = trainer.global_step
        last = batch_idx + 1 == self._batches
        if step % self._stride == 0 or last:
            mean = float(torch.stack(self._losses).mean())
            if not np.isfinite(mean):
                raise Diverged(
                    "The loss became infinite in epoch {epoch}; lower the learning rate, "
                    "or set the precision to fp32.",
                    epoch=trainer.current_epoch + 1,
                )
            self._outlet.metric(
                step,
                step / self._batches,
                {
                    "train_loss": mean,
                    "train_accuracy": float(torch.stack(self._right).sum()) / self._seen,
                    "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
                },
            )
            self._losses, self._right, self._seen = [], [], 0
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

    def _heed(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch_idx: int) -> None:
        """Do what a person asked for. Raises Paused, Cancelled and Stopped, once a checkpoint is on disk."""
        wish = self._outlet.wanted()
        self._finish |= wish == Wish.FINISH
        # After the last batch of an epoch its validation comes first; then nothing is measured twice.
        if batch_idx + 1 == self._batches:
            return
        asked = wish in (Wish.PAUSE, Wish.CANCEL, Wish.KEEP)
        if asked or time.monotonic() - self._saved >= SAVE_SECONDS:
            self._save(trainer, pl_module, batch_idx + 1)
        if wish == Wish.PAUSE:
            raise Paused
        if wish == Wish.CANCEL:
            raise Cancelled
        if wish == Wish.KEEP:
            raise Stopped

    def _save(self, trainer: pl.Trainer, pl_module: pl.LightningModule, position: int) -> None:
        now = time.monotonic()
        self.seconds += now - self._mark
        self.training_seconds += now - self._epoch_start
        self._mark = self._epoch_start = now
        assert isinstance(pl_module, Module)
        pl_module.position = position
        trainer.save_checkpoint(self._last)
        pl_module.position = 0
        self._saved = time.monotonic()
        self._outlet.checkpoint(self._last, trainer.current_epoch, trainer.global_step, None, "last")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
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
        if self._finish:
            trainer.should_stop = True
        self._outlet.metric(trainer.global_step, trainer.current_epoch + 1.0, values)


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
) -> Trained:
    """Train from the newest whole checkpoint in `folder` where there is one; `best.ckpt` lies beside it.

    Raises Diverged, Paused, and Cancelled: also where a person stopped it to keep what it has, but no
    epoch was measured yet.
    """
    _quiet()
    batches = TrainBatches(
        train,
        params.training.batch_size,
        params.training.seed,
        lambda: module.current_epoch,
        lambda: module.take_position(),
    )
    even = params.training.class_weights == "balanced"
    weights = loss.balanced(train.rows.targets, labels) if even else None
    module = Module(network, params, auguments, len(batches), labels, weights)
    stopping = params.early_stopping
    mode = "min" if stopping.metric == "valid_loss" else "max"
    reporter = Reporter(outlet, len(batches), params.training.epochs, folder)
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
    callbacks += [best, last]  # in this order: what `last` holds knows of the newest `best`
    trainer = pl.Trainer(
        max_epochs=params.training.epochs,
        accelerator="gpu" if hardware.device == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed" if hardware.precision == "bf16" else "32-true",
        deterministic="warn" if hardware.device == "cpu" else False,
        benchmark=hardware.device == "cuda",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        callbacks=callbacks,
        plugins=[checkpoints.SafeFiles()],
    )
    # Deterministic mode would also fill every new tensor, which costs a tenth of the speed.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        trainer.fit(
            module,
            train_dataloaders=batches,
            val_dataloaders=EvalBatches(valid, EVAL_BATCH),
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
    )


def best_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The network's weights of the best epoch, contiguous and on the processor."""
    checkpoint = torch.load(folder / checkpoints.BEST, map_location="cpu", weights_only=True)
    return {
        name.removeprefix("network."): value.contiguous() for name, value in checkpoint["state_dict"].items()
    }


def _quiet() -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
