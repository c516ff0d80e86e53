"""MixUp and CutMix: pairs within a batch, mixed with their labels; chance is derived from (seed, step)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional as F

from core.params import Auguments
from jobs.vision.transforms import generator

MIX = 2**31 + 1
"""First part of the generators of this file; `data.ORDER` and the epochs of `transforms` are others."""


class Mixer:
    """What `Auguments.augmentation` says of `mixup` and `cutmix`; where a batch has both, a coin decides."""

    def __init__(self, auguments: Auguments, seed: int, labels: int) -> None:
        self._mixup = auguments.augmentation.mixup
        self._cutmix = auguments.augmentation.cutmix
        self._seed = seed
        self._labels = labels

    @property
    def enabled(self) -> bool:
        return self._mixup.enabled or self._cutmix.enabled

    def __call__(
        self, images: torch.Tensor, targets: torch.Tensor, step: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (n, c, h, w) and targets (n,) → images and shares of the labels (n, labels), each row sums to 1.

        Without either change in the settings both are returned as they are.
        """
        if not self.enabled:
            return images, targets
        shares = F.one_hot(targets, self._labels).to(images.dtype)
        random = generator(self._seed, MIX, step)
        mix, cut, coin = random.random(3)
        mixes = self._mixup.enabled and mix < self._mixup.probability
        cuts = self._cutmix.enabled and cut < self._cutmix.probability
        if not (mixes or cuts):
            return images, shares
        partner = torch.from_numpy(random.permutation(len(images))).to(images.device)
        if mixes and (not cuts or coin < 0.5):
            # Zhang et al., “mixup: Beyond Empirical Risk Minimization” (2018).
            kept = float(random.beta(self._mixup.alpha, self._mixup.alpha))
            images = torch.lerp(images[partner], images, kept)
        else:
            images, kept = self._cut(images, partner, random)
        return images, torch.lerp(shares[partner], shares, kept)

    def _cut(
        self, images: torch.Tensor, partner: torch.Tensor, random: np.random.Generator
    ) -> tuple[torch.Tensor, float]:
        """Yun et al., “CutMix” (2019): the labels' shares are those of the areas, after clipping at the edge."""
        high, wide = images.shape[-2:]
        side = math.sqrt(1.0 - float(random.beta(self._cutmix.alpha, self._cutmix.alpha)))
        middle, centre = random.random(2) * (high, wide)
        top, bottom = _within(middle, side * high, high)
        left, right = _within(centre, side * wide, wide)
        mixed = images.clone()
        mixed[:, :, top:bottom, left:right] = images[partner, :, top:bottom, left:right]
        return mixed, 1.0 - (bottom - top) * (right - left) / (high * wide)


def _within(middle: float, length: float, most: int) -> tuple[int, int]:
    return max(round(middle - length / 2), 0), min(round(middle + length / 2), most)
