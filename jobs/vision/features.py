"""What a frozen backbone sees in each image, computed once where every epoch would compute the same."""

from __future__ import annotations

import torch

from core.params import Auguments, Params
from jobs.vision import architectures
from jobs.vision.data import Pictures
from jobs.vision.hardware import Hardware
from jobs.vision.imaging import normalize


def steady(params: Params, auguments: Auguments) -> bool:
    """Whether an image gives the last layer the same in every epoch: all before it is frozen, nothing is random."""
    random = [change for _name, change in auguments.augmentation if change.enabled]
    patched = auguments.preprocessing.patching.enabled
    return params.training.freeze_epochs >= params.training.epochs and not random and not patched


def head_of(network: torch.nn.Module, architecture: str) -> torch.nn.Module:
    """The layer that answers."""
    [name] = architectures.get(architecture).LAYERS[-1]
    return network.get_submodule(name.removesuffix("."))


@torch.no_grad()
def seen(
    network: torch.nn.Module,
    params: Params,
    auguments: Auguments,
    pictures: Pictures,
    chosen: Hardware,
    at_once: int,
) -> Pictures:
    """The images with what the last layer is given instead of pixels, (n, …) of floats.

    Batch normalisation uses its running statistics, as while the backbone is frozen.
    """
    found: list[torch.Tensor] = []
    handle = head_of(network, params.model.architecture).register_forward_pre_hook(
        lambda _layer, given: found.append(given[0].float().cpu())
    )
    before = network.training
    network.eval().to(chosen.device)
    done = auguments.preprocessing.model_dump()
    kind = torch.bfloat16 if chosen.precision == "bf16" else torch.float32
    try:
        with torch.autocast(chosen.device, dtype=kind, enabled=chosen.precision == "bf16"):
            for pixels in pictures.pixels.split(at_once):
                floats = normalize(pixels.to(chosen.device).float().div_(255.0), done)
                network(floats.contiguous(memory_format=torch.channels_last))
    finally:
        handle.remove()
        network.train(before)
    return Pictures(pictures.rows, torch.cat(found))
