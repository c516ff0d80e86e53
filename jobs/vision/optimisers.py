"""Optimiser and learning rate schedule of a training; which layers learn, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch

from core.params import Params
from jobs.vision import architectures

Layers = Sequence[Sequence[str]]
"""Beginnings of the weights' names, from the input to the output; see `jobs.vision.architectures`."""


def build(network: torch.nn.Module, params: Params, steps: int) -> Any:
    """What Lightning's `configure_optimizers` returns, for a training of so many steps.

    Fused, since that goes through the weights once: a step of resnet18 takes 10 ms instead of 26 on two cores.
    """
    chosen = params.training
    groups = rates(network, params)
    options: dict[str, Any] = {
        "lr": chosen.learning_rate,
        "weight_decay": chosen.weight_decay,
        "fused": True,
    }
    optimizer: torch.optim.Optimizer
    if chosen.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, momentum=0.9, nesterov=True, **options)
    elif chosen.optimizer == "adam":
        optimizer = torch.optim.Adam(groups, **options)
    else:
        optimizer = torch.optim.AdamW(groups, **options)
    scheduler: Any
    if chosen.scheduler == "none":
        return optimizer
    if chosen.scheduler == "onecycle":
        peaks = [group["lr"] for group in optimizer.param_groups]
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, peaks, total_steps=steps)
    elif chosen.scheduler == "cosine":
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    else:
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, max(steps // 3, 1), gamma=0.1)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def begun(network: torch.nn.Module, params: Params, steps: int) -> dict[str, Any]:
    """The learning rate of a training that begins now, as a checkpoint keeps it: {"param_groups", "lr_schedulers"}."""
    made = build(network, params, steps)
    if isinstance(made, torch.optim.Optimizer):
        return {"param_groups": made.state_dict()["param_groups"], "lr_schedulers": []}
    scheduler = made["lr_scheduler"]["scheduler"]
    groups = made["optimizer"].state_dict()["param_groups"]
    return {"param_groups": groups, "lr_schedulers": [scheduler.state_dict()]}


def rates(network: torch.nn.Module, params: Params) -> list[dict[str, Any]]:
    """Parameter groups with their rates, the last layer's first: it learns at the rate people set.

    Howard and Ruder, “Universal Language Model Fine-tuning” (2018), discriminative fine-tuning.
    """
    rate, decay = params.training.learning_rate, params.training.layer_decay
    if decay == 1.0:
        return [{"params": list(network.parameters()), "lr": rate}]
    groups = layer_groups(network, architectures.get(params.model.architecture).LAYERS)
    return [{"params": group, "lr": rate * decay**depth} for depth, group in enumerate(reversed(groups))]


def layer_groups(network: torch.nn.Module, layers: Layers) -> list[list[torch.nn.Parameter]]:
    """The weights of each group of layers, from the input to the output."""
    found: list[list[torch.nn.Parameter]] = [[] for _ in layers]
    for name, weight in network.named_parameters():
        [place] = [place for place, starts in enumerate(layers) if name.startswith(tuple(starts))]
        found[place].append(weight)
    return found


class Freezing(pl.Callback):
    """Only the last layer learns in the first `epochs`; the others' running statistics stand still as well."""

    def __init__(self, params: Params) -> None:
        self._epochs = params.training.freeze_epochs
        self._head = tuple(architectures.get(params.model.architecture).LAYERS[-1])

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Before each batch, since an epoch may begin in its middle and its validation sets the modes anew."""
        network = pl_module.network
        assert isinstance(network, torch.nn.Module)
        frozen = trainer.current_epoch < self._epochs
        for name, weight in network.named_parameters():
            if not name.startswith(self._head):
                weight.requires_grad_(not frozen)
        for name, layer in network.named_modules():
            if name and not f"{name}.".startswith(self._head):
                layer.training = not frozen
