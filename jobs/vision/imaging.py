"""From the bytes of a file to what a network sees, and from its answers to an image's: the one way for all.

Training, evaluation, suggestions, previews and serving use this file: each model version carries a copy beside its
weights, so it imports nothing of this repository, and a later change never changes an older version. torch is imported
only where it computes: with ONNX Runtime a version prepares its images without it.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

if TYPE_CHECKING:
    import torch

BATCH = 64
"""Images, or patches of them, that go through the network at once."""

Step = Callable[[np.ndarray], np.ndarray]
"""One preprocessing step: (s, s, 3) of uint8 in and out."""


class Unreadable(Exception):
    """Bytes that are no image, or one that is too large; the text is a sentence for people."""


def open_image(data: bytes, *, max_pixels: int, size: int | None = None) -> Image.Image:
    """The image upright, in RGB; transparent parts become white.

    With `size`, a JPEG may be decoded smaller, but never below twice that side in pixels.
    Raises Unreadable with a sentence for people.
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(data))
        if image.width * image.height > max_pixels:
            raise Unreadable(f"The image has more than {max_pixels // 1_000_000} million pixels.")
        if size is not None:
            image.draft(None, (2 * size, 2 * size))
        image.load()
        image = ImageOps.exif_transpose(image)
    except Unreadable:
        raise
    except Image.DecompressionBombError as error:
        raise Unreadable(f"The image has more than {max_pixels // 1_000_000} million pixels.") from error
    except Exception as error:  # Pillow's decoders raise many kinds for damaged files
        raise Unreadable("This is not an image that can be read; it may be damaged.") from error
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if image.mode != "F" else max(float(values.max()), 1.0)
        image = Image.fromarray(np.clip(values / top * 255.0, 0, 255).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def squared(image: Image.Image, size: int, preprocessing: Mapping[str, Any]) -> np.ndarray:
    """The image brought to size: (size, size, 3) of uint8."""
    target = (size, size)
    if preprocessing["resize"] == "crop":
        image = ImageOps.fit(image, target, Image.Resampling.BILINEAR)
    elif preprocessing["resize"] == "stretch":
        image = image.resize(target, Image.Resampling.BILINEAR, reducing_gap=3.0)
    else:
        bars = tuple(round(255 * mean) for mean in preprocessing["normalize_mean"])
        image = ImageOps.pad(image, target, Image.Resampling.BILINEAR, color=bars)
    return np.asarray(image)


def prepare(
    image: Image.Image, size: int, preprocessing: Mapping[str, Any], steps: Sequence[Step]
) -> np.ndarray:
    """The image as the network sees it before normalising: (size, size, 3) of uint8."""
    pixels = squared(image, size, preprocessing)
    for step in steps:
        pixels = step(pixels)
    return pixels


def scale(images: torch.Tensor, preprocessing: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation, (1, 3, 1, 1) each, where the images are."""
    mean = images.new_tensor(preprocessing["normalize_mean"]).view(1, 3, 1, 1)
    return mean, images.new_tensor(preprocessing["normalize_std"]).view(1, 3, 1, 1)


def normalize(images: torch.Tensor, preprocessing: Mapping[str, Any]) -> torch.Tensor:
    """(n, 3, h, w) of 0 to 1 as the network wants it."""
    mean, std = scale(images, preprocessing)
    return (images - mean) / std


def patch_starts(side: int, patching: Mapping[str, Any]) -> list[int]:
    """Where patches begin along a side, in pixels; the last one ends with the image, so that nothing is left out."""
    last = side - patching["size"]
    return [*range(0, last, patching["stride"]), last]


def patches(images: torch.Tensor, preprocessing: Mapping[str, Any]) -> torch.Tensor:
    """Images (n, c, s, s) cut into k patches each: (n·k, c, p, p), image by image; themselves without patching."""
    patching = preprocessing.get("patching")
    if not patching or not patching["enabled"]:
        return images
    import torch

    size, starts = patching["size"], patch_starts(images.shape[-1], patching)
    cut = [images[..., top : top + size, left : left + size] for top in starts for left in starts]
    return torch.stack(cut, dim=1).flatten(0, 1)


def put_together(logits: torch.Tensor, n: int, preprocessing: Mapping[str, Any]) -> torch.Tensor:
    """Of logits (n·k, labels) for k patches an image those of the images, (n, labels); as they are for k = 1.

    A vote counts which label is the best of each patch; the mean of the probabilities is one more, shared vote,
    which decides ties.
    """
    if len(logits) == n:
        return logits
    import torch

    found = logits.softmax(dim=1).unflatten(0, (-1, len(logits) // n))
    mean = found.mean(dim=1)
    if preprocessing["patching"]["combine"] == "vote":
        votes = torch.nn.functional.one_hot(found.argmax(dim=2), found.shape[2]).sum(dim=1)
        mean = (votes + mean) / (found.shape[1] + 1)
    return mean.clamp_min(torch.finfo(mean.dtype).tiny).log()


def answers(
    network: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor,
    preprocessing: Mapping[str, Any],
    most: int = BATCH,
) -> torch.Tensor:
    """Logits (n, labels) of normalised images (n, 3, s, s); `most` of them, or of patches, are computed at once."""
    import torch

    parts = patches(images, preprocessing).split(most)
    return put_together(torch.cat([network(part).float() for part in parts]), len(images), preprocessing)


def load_code(path: str | Path) -> ModuleType:
    """A file as a module that nothing else finds by its name."""
    spec = importlib.util.spec_from_file_location(f"_veritrain_{Path(path).stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bound(module: ModuleType, options: Mapping[str, Any]) -> Step:
    """A step with its options."""
    return partial(module.apply, **options)


def steps_beside(config: Mapping[str, Any], folder: Path) -> list[Step]:
    """The steps of a version from its own files."""
    return [bound(load_code(folder / f"step_{name}.py"), options) for name, options in config["steps"]]


def network_beside(config: Mapping[str, Any], folder: Path) -> torch.nn.Module:
    """The network of a version from its own file, with its weights, ready to answer."""
    import torch
    from safetensors.torch import load_file

    code = load_code(folder / "architecture.py")
    network: torch.nn.Module = code.build(len(config["labels"]), config["network_size"])
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    # As images come, their channels last: else each convolution turns its weights round for each answer.
    return network.eval().to(memory_format=torch.channels_last)
