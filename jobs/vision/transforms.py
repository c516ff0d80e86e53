"""Augmentation of whole batches; chance is derived from (seed, epoch, image), never from the batch.

So an image looks the same in an epoch whatever came before it: a resumed training sees what an
uninterrupted one would have seen, on any device.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional as F
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as V

from core.params import Auguments
from core.params.auguments import Flip
from jobs.vision.hardware import sent
from jobs.vision.imaging import patch_starts, scale

DRAWS = 24
"""Random numbers drawn for each image and epoch; each change has its own."""


def generator(seed: int, *parts: int) -> np.random.Generator:
    """A counter-based generator of its own for (seed, parts); two parts at most, each below 2**32."""
    key = 0
    for part in parts:
        key = (key << 32) | part
    return np.random.Generator(np.random.Philox(key=np.array([seed, key], dtype=np.uint64)))


class Augmenter:
    """uint8 images (n, 3, s, s) in, normalised floats out; see `Auguments.augmentation` for what is done."""

    def __init__(self, auguments: Auguments, seed: int) -> None:
        self._do = auguments.augmentation
        self._preprocessing = auguments.preprocessing.model_dump()
        self._seed = seed
        self._scale: tuple[torch.Tensor, torch.Tensor] | None = None
        self._trivial = v2.TrivialAugmentWide(num_magnitude_bins=self._do.trivial_augment.strength)
        self._rand = v2.RandAugment(
            num_ops=self._do.rand_augment.changes, magnitude=self._do.rand_augment.strength
        )

    def __call__(self, images: torch.Tensor, ids: np.ndarray, epoch: int) -> torch.Tensor:
        """`ids` are the images' lasting numbers (n,). The result lies on the device of `images`."""
        numbers = np.stack([generator(self._seed, epoch, int(i)).random(DRAWS, np.float32) for i in ids])
        draws = sent(torch.from_numpy(numbers), images.device)
        if self._do.trivial_augment.enabled:
            images = self._seeded(self._trivial, images, numbers[:, 0])
        if self._do.rand_augment.enabled:
            images = self._seeded(self._rand, images, numbers[:, 19])
        out = images.float().div_(255.0)
        out = self._colours(out, draws)
        out = self._blurred(out, numbers)
        out = self._moved(out, draws)
        out = self._patch(self._noisy(out, numbers), numbers)
        out = self._normalized(out)
        return self._erased(out, numbers)

    def _normalized(self, x: torch.Tensor) -> torch.Tensor:
        """As `imaging.normalize`, in place; there the numbers would be sent to the device for each batch."""
        if self._scale is None or self._scale[0].device != x.device:
            self._scale = scale(x, self._preprocessing)
        mean, std = self._scale
        return x.sub_(mean).div_(std)

    @staticmethod
    def _seeded(change: torch.nn.Module, images: torch.Tensor, draws: np.ndarray) -> torch.Tensor:
        done = []
        with torch.random.fork_rng(devices=[]):  # the operation draws from torch's global generator
            for image, draw in zip(images, draws, strict=True):
                torch.manual_seed(int(draw * 2**31))
                done.append(change(image))
        return torch.stack(done)

    def _colours(self, x: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        jitter = self._do.color_jitter
        if not jitter.enabled:
            return x

        def factor(column: int, most: float) -> torch.Tensor:
            return (1.0 + (2.0 * draws[:, column] - 1.0) * most).view(-1, 1, 1, 1)

        if jitter.brightness:
            x = (x * factor(1, jitter.brightness)).clamp_(0.0, 1.0)
        if jitter.contrast:
            mean = V.rgb_to_grayscale(x).mean(dim=(1, 2, 3), keepdim=True)
            x = torch.lerp(mean, x, factor(2, jitter.contrast)).clamp_(0.0, 1.0)
        if jitter.saturation:
            x = torch.lerp(V.rgb_to_grayscale(x), x, factor(3, jitter.saturation)).clamp_(0.0, 1.0)
        if jitter.hue:
            turns = ((2.0 * draws[:, 4] - 1.0) * jitter.hue).tolist()
            x = torch.stack([V.adjust_hue(image, turn) for image, turn in zip(x, turns, strict=True)])
        return x

    def _blurred(self, x: torch.Tensor, draws: np.ndarray) -> torch.Tensor:
        blur = self._do.blur
        if blur.enabled:
            for place in np.flatnonzero(draws[:, 5] < blur.probability):
                sigma = 0.1 + float(draws[place, 6]) * (blur.sigma - 0.1)
                reach = min(max(math.ceil(2 * sigma), 1), (x.shape[-1] - 1) // 2)
                x[place] = V.gaussian_blur(x[place], [2 * reach + 1] * 2, [sigma, sigma])
        return x

    def _moved(self, x: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """Flips, cut, size and turn in one resampling."""
        across = self._flips(draws[:, 7], self._do.horizontal_flip)
        down = self._flips(draws[:, 8], self._do.vertical_flip)
        if not (self._do.rotation.enabled or self._do.crop.enabled or self._do.zoom.enabled):
            x = torch.where(across.view(-1, 1, 1, 1) < 0, x.flip(-1), x)
            return torch.where(down.view(-1, 1, 1, 1) < 0, x.flip(-2), x)
        wide = torch.ones_like(across)
        high = torch.ones_like(across)
        if self._do.crop.enabled:
            least = self._do.crop.min_area
            area = least + (1.0 - least) * draws[:, 9]
            stretch = torch.exp((2.0 * draws[:, 10] - 1.0) * (math.log(4 / 3) / 2))  # root of 3:4 to 4:3
            wide = (area.sqrt() * stretch).clamp(max=1.0)
            high = (area.sqrt() / stretch).clamp(max=1.0)
        right = (2.0 * draws[:, 11] - 1.0) * (1.0 - wide)
        low = (2.0 * draws[:, 12] - 1.0) * (1.0 - high)
        if self._do.zoom.enabled:
            smallest, largest = math.log(self._do.zoom.smallest), math.log(self._do.zoom.largest)
            size = torch.exp(smallest + (largest - smallest) * draws[:, 22])
            wide, high = wide / size, high / size
        angle = torch.zeros_like(across)
        if self._do.rotation.enabled:
            angle = (2.0 * draws[:, 13] - 1.0) * math.radians(self._do.rotation.degrees)
        cos, sin = angle.cos(), angle.sin()
        wide, high = wide * across, high * down
        theta = torch.stack(
            [
                torch.stack([cos * wide, -sin * high, right], dim=1),
                torch.stack([sin * wide, cos * high, low], dim=1),
            ],
            dim=1,
        )
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def _noisy(self, x: torch.Tensor, draws: np.ndarray) -> torch.Tensor:
        noise = self._do.noise
        if noise.enabled:
            for place in np.flatnonzero(draws[:, 20] < noise.probability):
                own = torch.Generator().manual_seed(int(float(draws[place, 21]) * 2**31))
                sigma = float(torch.rand(1, generator=own)) * noise.strength
                grain = torch.randn(x.shape[1:], generator=own).to(x.device)  # the same on any device
                x[place] = (x[place] + sigma * grain).clamp_(0.0, 1.0)
        return x

    def _patch(self, x: torch.Tensor, draws: np.ndarray) -> torch.Tensor:
        """One of the patches into which `imaging.patches` cuts each image, where it does."""
        patching = self._preprocessing["patching"]
        if not patching["enabled"]:
            return x
        size, starts = patching["size"], patch_starts(x.shape[-1], patching)
        chosen = (draws[:, 23].astype(np.float64) * len(starts) ** 2).astype(int)
        corners = [divmod(int(place), len(starts)) for place in chosen]
        return torch.stack(
            [
                image[:, starts[row] : starts[row] + size, starts[column] : starts[column] + size]
                for image, (row, column) in zip(x, corners, strict=True)
            ]
        )

    @staticmethod
    def _flips(draws: torch.Tensor, flip: Flip) -> torch.Tensor:
        """-1 where the image is mirrored, 1 elsewhere."""
        chance = flip.probability if flip.enabled else 0.0
        return torch.where(draws < chance, -1.0, 1.0)

    def _erased(self, x: torch.Tensor, draws: np.ndarray) -> torch.Tensor:
        erasing = self._do.erasing
        if erasing.enabled:
            side = x.shape[-1]
            for place in np.flatnonzero(draws[:, 14] < erasing.probability):
                area = (0.02 + float(draws[place, 15]) * (erasing.max_area - 0.02)) * side * side
                stretch = math.exp((2.0 * float(draws[place, 16]) - 1.0) * (math.log(3.0) / 2))
                high = min(max(round(math.sqrt(area) * stretch), 1), side)
                wide = min(max(round(math.sqrt(area) / stretch), 1), side)
                top = int(float(draws[place, 17]) * (side - high + 1))
                left = int(float(draws[place, 18]) * (side - wide + 1))
                x[place, :, top : top + high, left : left + wide] = 0.0  # the mean colour
        return x
