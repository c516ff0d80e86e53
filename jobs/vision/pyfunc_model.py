"""A trained image classifier as an MLflow pyfunc, complete in this one file.

MLflow copies this file into each model version (models from code), so it imports neither core nor
jobs, and a later change of it never changes an older version. The job takes its preprocessing and
its final predictions from here too: what was measured is what is served.

Input: a DataFrame with the column `image` (base64 of a file's bytes). Output, a row for each:
`label`, `confidence`, `probabilities` (in the order of the labels), and `error` where a row's image
cannot be read (then the rest of that row is empty).
"""

import base64
import binascii
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
import torchvision
from mlflow.pyfunc import PythonModel
from PIL import Image, ImageOps
from safetensors.torch import load_file

BATCH = 64
"""Images that go through the network at once."""
VIT_SIZE_FREE = ("vit_b_16",)
"""Architectures that are built for one image size."""


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


def prepare(image: Image.Image, size: int, preprocessing: Mapping[str, Any]) -> np.ndarray:
    """The image as the network sees it before normalising: (size, size, 3) of uint8."""
    target = (size, size)
    if preprocessing["resize"] == "crop":
        image = ImageOps.fit(image, target, Image.Resampling.BILINEAR)
    elif preprocessing["resize"] == "stretch":
        image = image.resize(target, Image.Resampling.BILINEAR, reducing_gap=3.0)
    else:
        bars = tuple(round(255 * mean) for mean in preprocessing["normalize_mean"])
        image = ImageOps.pad(image, target, Image.Resampling.BILINEAR, color=bars)
    if preprocessing["equalize"]:
        light, *colour = image.convert("YCbCr").split()
        image = Image.merge("YCbCr", (ImageOps.equalize(light), *colour)).convert("RGB")
    if preprocessing["grayscale"]:
        image = image.convert("L").convert("RGB")
    return np.asarray(image)


def normalize(images: torch.Tensor, preprocessing: Mapping[str, Any]) -> torch.Tensor:
    """(n, 3, h, w) of 0 to 1 as the network wants it."""
    mean = images.new_tensor(preprocessing["normalize_mean"]).view(1, 3, 1, 1)
    std = images.new_tensor(preprocessing["normalize_std"]).view(1, 3, 1, 1)
    return (images - mean) / std


def build_network(architecture: str, labels: int, image_size: int) -> torch.nn.Module:
    """The network with random weights and `labels` outputs."""
    options: dict[str, Any] = {"image_size": image_size} if architecture in VIT_SIZE_FREE else {}
    network: torch.nn.Module = torchvision.models.get_model(
        architecture, weights=None, num_classes=labels, **options
    )
    return network


class Classifier:
    """A trained network with its preprocessing. `config` is the model's config.json."""

    def __init__(self, config: Mapping[str, Any], weights: str | Path) -> None:
        self.config = config
        self.labels: list[str] = list(config["labels"])
        self.size: int = config["image_size"]
        self._network = build_network(config["architecture"], len(self.labels), self.size)
        self._network.load_state_dict(load_file(weights))
        self._network.eval()

    def classify(self, files: Sequence[bytes]) -> tuple[np.ndarray, list[str | None]]:
        """Probabilities (n, labels) and, for each file that cannot be read, why; its row is NaN."""
        probabilities = np.full((len(files), len(self.labels)), np.nan)
        errors: list[str | None] = [None] * len(files)
        for start in range(0, len(files), BATCH):
            images, places = [], []
            for place in range(start, min(start + BATCH, len(files))):
                try:
                    image = open_image(files[place], max_pixels=self.config["max_pixels"], size=self.size)
                except Unreadable as error:
                    errors[place] = str(error)
                    continue
                images.append(prepare(image, self.size, self.config["preprocessing"]))
                places.append(place)
            if images:
                probabilities[places] = self._forward(np.stack(images))
        return probabilities, errors

    def _forward(self, images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255.0
            logits = self._network(normalize(batch, self.config["preprocessing"]))
            result: np.ndarray = logits.double().softmax(dim=1).numpy()
        return result


class ImageClassifier(PythonModel):
    def load_context(self, context: Any) -> None:
        config = json.loads(Path(context.artifacts["config"]).read_text(encoding="utf-8"))
        self.classifier = Classifier(config, context.artifacts["weights"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:
        files: list[bytes] = []
        for text in model_input["image"]:
            try:
                files.append(base64.b64decode(text, validate=True))
            except (binascii.Error, TypeError, ValueError):
                files.append(b"")
        probabilities, errors = self.classifier.classify(files)
        rows: list[dict[str, Any]] = []
        for row, error in zip(probabilities, errors, strict=True):
            best = int(np.argmax(row))
            rows.append(
                {
                    "label": None if error else self.classifier.labels[best],
                    "confidence": None if error else float(row[best]),
                    "probabilities": None if error else row.tolist(),
                    "error": error,
                }
            )
        return pd.DataFrame(rows, columns=["label", "confidence", "probabilities", "error"], dtype=object)


mlflow.models.set_model(ImageClassifier())
