"""The network with its loss, its optimiser and what is measured of it after each epoch."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from sklearn.metrics import f1_score
from torch.nn import functional as F

from core.params import Auguments, Params
from jobs.runtime import is_out_of_memory
from jobs.vision import features, loss, optimisers
from jobs.vision.data import Batch
from jobs.vision.hardware import sent
from jobs.vision.imaging import answers, normalize
from jobs.vision.mixing import Mixer
from jobs.vision.team import ALONE, Team
from jobs.vision.transforms import Augmenter

EVAL_BATCH = 256
WORST = 12
"""Validation images that are named after each epoch."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """What an epoch's validation found beyond its figures."""

    f1: list[float]
    """One for each label, 0–1."""
    worst: list[dict[str, Any]]
    """The images with the highest loss: {"image", "target", "predicted" (places of labels), "confidence"}."""


class Module(pl.LightningModule):
    """`on_after_batch_transfer` makes floats of uint8 batches; the optimiser is stepped here, not by Lightning.

    So a batch that does not fit into memory can be learnt from in parts: their gradients add up to the batch's.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        params: Params,
        auguments: Auguments,
        steps: int,
        labels: int,
        weights: torch.Tensor | None,
        team: Team = ALONE,
        featured: bool = False,
    ) -> None:
        """`steps` are those of the learning rate's schedule; `weights` (labels,) say how much each label counts.

        `featured`: the batches have what `jobs.vision.features` saw instead of images.
        """
        super().__init__()
        self.automatic_optimization = False
        self._params = params
        self._mix = Mixer(auguments, params.training.seed, labels)
        self._weights = weights
        self.network = network.to(memory_format=torch.channels_last)
        self._featured = featured
        self._training = params.training
        self._augment = Augmenter(auguments, params.training.seed)
        self._preprocessing = auguments.preprocessing.model_dump()
        self._steps = steps
        self._team = team
        self._outputs: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self.judged: Judged | None = None
        """Of the newest validation."""
        self.position = 0
        """Batches of the present epoch that were learnt from when the checkpoint was written."""
        self.parts = 1
        """Into how many parts a batch is cut; doubled whenever the memory was not enough."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["position"] = self.position
        checkpoint["parts"] = self.parts

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.position = checkpoint["position"]
        if (
            "parts" not in checkpoint
        ):  # of a version that let Lightning step the optimiser: it counted elsewhere
            loops = checkpoint["loops"]["fit_loop"]
            stepped = loops["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"]
            loops["epoch_loop.manual_optimization.optim_step_progress"] = stepped
        self.parts = checkpoint.get("parts", 1)

    def take_position(self) -> int:
        """Where the epoch that begins now goes on; every other epoch begins at 0."""
        position, self.position = self.position, 0
        return position

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Ids stay while it learns: asked for them, a GPU answers only once it has computed all it was given."""
        images, targets, ids = batch
        return sent(images, device), sent(targets, device), ids if self.trainer.training else ids.to(device)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> tuple[torch.Tensor, ...]:
        images, targets, ids = batch
        if self._featured:
            return (images, targets) if self.trainer.training else (images, targets, ids)
        if self.trainer.training:
            floats = self._augment(images, ids.numpy(), self.current_epoch)
            floats, targets = self._mix(floats, targets, self.global_step)
            return floats.contiguous(memory_format=torch.channels_last), targets
        floats = normalize(images.float().div_(255.0), self._preprocessing)
        return floats.contiguous(memory_format=torch.channels_last), targets, ids

    def training_step(
        self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int
    ) -> dict[str, torch.Tensor]:
        while (found := self._learn(*batch)) is None:
            self.parts *= 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        optimizer.step()
        scheduler = self.lr_schedulers()
        if isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler):
            scheduler.step()
        return found

    def _learn(self, images: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor] | None:
        """Gradients of the batch, part by part; None where memory was not enough and smaller parts may fit."""
        self.zero_grad(set_to_none=True)
        torch.manual_seed((self._training.seed << 32) + (self._team.rank << 28) + self.global_step)
        weights = self._weights.to(images.device) if self._weights is not None else None
        parts = max(min(self.parts, len(images) // 2), 1)  # batch normalisation cannot learn from one image
        lost = images.new_zeros(())
        right = images.new_zeros(())
        try:
            for some, wanted in zip(images.tensor_split(parts), targets.tensor_split(parts), strict=True):
                logits = self._answering(some).float()
                part = loss.cross_entropy(logits, wanted, self._training.label_smoothing, weights)
                if parts > 1:
                    part = part * (len(some) / len(images))
                self.manual_backward(part)
                lost += part.detach()
                right += loss.right(logits, wanted)
        except (RuntimeError, MemoryError) as error:
            # Others of a team wait for as many gradients as they compute themselves.
            if not is_out_of_memory(error) or self._team.size > 1 or len(images) // (2 * parts) < 2:
                raise
            # As text: whoever kept the error itself would keep all that fills the memory.
            log.warning("out of memory with %d parts of a batch: %s", parts, str(error))
            return None
        return {"loss": lost, "right": right}

    @property
    def _answering(self) -> torch.nn.Module:
        """What the batches are given to."""
        return (
            features.head_of(self.network, self._params.model.architecture)
            if self._featured
            else self.network
        )

    def validation_step(self, batch: tuple[torch.Tensor, ...], batch_idx: int) -> None:
        images, targets, ids = batch
        self._outputs.append(
            (answers(self._answering, images, self._preprocessing, EVAL_BATCH), targets, ids)
        )

    def on_validation_epoch_end(self) -> None:
        logits, targets, ids = (
            self._team.gather(torch.cat(part)) for part in zip(*self._outputs, strict=True)
        )
        self._outputs.clear()
        probabilities = logits.softmax(dim=1)
        confidence, predicted = probabilities.max(dim=1)
        f1 = f1_score(
            targets.cpu().numpy(),
            predicted.cpu().numpy(),
            labels=np.arange(logits.shape[1]),
            average=None,
            zero_division=0,
        )
        self.log("valid_loss", F.cross_entropy(logits, targets))
        self.log("valid_accuracy", (predicted == targets).float().mean())
        self.log("valid_macro_f1", float(np.mean(f1)))
        losses = F.cross_entropy(logits, targets, reduction="none")
        worst = losses.argsort(descending=True, stable=True)[:WORST]
        columns = (ids[worst], targets[worst], predicted[worst], confidence[worst])
        self.judged = Judged(
            [round(float(each), 4) for each in f1],
            [
                {"image": image, "target": target, "predicted": guess, "confidence": round(sure, 4)}
                for image, target, guess, sure in zip(*(column.tolist() for column in columns), strict=True)
            ],
        )

    def configure_optimizers(self) -> Any:
        return optimisers.build(self.network, self._params, self._steps)
