"""Grad-CAM: which parts of an image speak for a label. Selvaraju et al., “Grad-CAM” (2017)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from jobs.vision.pyfunc_model import Classifier

SHARE = 0.55
"""How much of the heat lies over the picture where it is hottest."""


class Looker:
    """A model version that says where it looks. `folder` is the version's own."""

    def __init__(self, folder: Path) -> None:
        self._classifier = Classifier(folder)
        self._imaging = self._classifier._imaging
        self._network: torch.nn.Module = self._classifier._network
        self._layer = _last_with_places(self._network, self._classifier.config["network_size"])

    def look(self, data: bytes) -> tuple[np.ndarray, str, float] | None:
        """(picture with heat (s, s, 3) of uint8, label, confidence 0–1); None where it cannot be read."""
        config = self._classifier.config
        try:
            image = self._imaging.open_image(
                data, max_pixels=config["max_pixels"], size=self._classifier.size
            )
        except self._imaging.Unreadable:
            return None
        done = config["preprocessing"]
        pixels: np.ndarray = self._imaging.prepare(
            image, self._classifier.size, done, self._classifier._steps
        )
        batch = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255.0
        seen: list[torch.Tensor] = []
        handle = self._layer.register_forward_hook(lambda _m, _i, out: seen.append(out))
        try:
            with torch.enable_grad():
                logits = self._imaging.answers(self._network, self._imaging.normalize(batch, done), done)
                best = int(logits.argmax())
                heats = [_heat(out, torch.autograd.grad(logits[0, best], out)[0]) for out in seen]
        finally:
            handle.remove()
        confidence = float(logits.detach().softmax(dim=1)[0, best])
        heat = self._whole(heats[0], done)
        return _painted(pixels, heat), self._classifier.labels[best], confidence

    def _whole(self, heat: torch.Tensor, done: dict[str, Any]) -> np.ndarray:
        """Heat of the image (s, s), 0–1; with patches (k, h, w) each lies where it was cut, overlaps averaged."""
        side = self._classifier.size
        if len(heat) == 1:
            whole = F.interpolate(heat[None], (side, side), mode="bilinear", align_corners=False)[0, 0]
        else:
            patching = done["patching"]
            size, starts = patching["size"], self._imaging.patch_starts(side, patching)
            parts = F.interpolate(heat[:, None], (size, size), mode="bilinear", align_corners=False)[:, 0]
            total, count = torch.zeros(side, side), torch.zeros(side, side)
            places = [(top, left) for top in starts for left in starts]
            for part, (top, left) in zip(parts, places, strict=True):
                total[top : top + size, left : left + size] += part
                count[top : top + size, left : left + size] += 1
            whole = total / count.clamp_min(1)
        found: np.ndarray = (whole / whole.max().clamp_min(1e-12)).numpy()
        return found


def _last_with_places(network: torch.nn.Module, side: int) -> torch.nn.Module:
    """The last layer, in the order of computing, whose output still says where in the image something is."""
    order: list[torch.nn.Module] = []
    handles = [
        module.register_forward_hook(lambda m, _i, out: order.append(m) if _has_places(out) else None)
        for module in network.modules()
        if module is not network
    ]
    with torch.no_grad():
        network(torch.zeros(1, 3, side, side))
    for handle in handles:
        handle.remove()
    return order[-1]


def _has_places(out: Any) -> bool:
    if not isinstance(out, torch.Tensor):
        return False
    if out.ndim == 4:
        return out.shape[2] > 1 and out.shape[3] > 1
    return out.ndim == 3 and out.shape[1] > 4 and math.isqrt(out.shape[1] - 1) ** 2 == out.shape[1] - 1


def _heat(out: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Evidence for the label by place, (n, h, w) from 0 on: the channels weighed by their mean gradient."""
    with torch.no_grad():
        if out.ndim == 3:  # a transformer's tokens, the first of which stands for no place
            side = math.isqrt(out.shape[1] - 1)
            out, gradient = (
                part[:, 1:].transpose(1, 2).unflatten(2, (side, side)) for part in (out, gradient)
            )
        weights = gradient.mean(dim=(2, 3), keepdim=True)
        return (weights * out).sum(dim=1).relu()


def _painted(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The picture with heat over it, from nothing by yellow to red."""
    colour = np.stack([np.full_like(heat, 255.0), 220.0 * (1.0 - heat), np.zeros_like(heat)], axis=2)
    share = SHARE * heat[..., None]
    found: np.ndarray = np.clip(pixels * (1.0 - share) + colour * share, 0, 255).astype(np.uint8)
    return found
