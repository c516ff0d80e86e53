"""A version as one ONNX file: from pixels at the network's size to the probabilities of its labels.

Written by the exporter that traces (`dynamo=False`): it needs no package but `onnx`, and took 1–6 s where the newer
one took 20–40 s for the same answers.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jobs.vision import imaging

NAME = "model.onnx"
OPSET = 18
TOLERANCE = 1e-4
"""Of a probability: a file whose answers differ more from the network's is not kept."""

log = logging.getLogger(__name__)


class Answering(torch.nn.Module):
    """(n, s, s, 3) of uint8, as `imaging.prepare` gives them, to probabilities (n, labels)."""

    def __init__(self, network: torch.nn.Module, preprocessing: Mapping[str, Any]) -> None:
        super().__init__()
        self.network = network
        self._preprocessing = preprocessing

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        images = imaging.normalize(pixels.permute(0, 3, 1, 2).float() / 255.0, self._preprocessing)
        logits = self.network(imaging.patches(images, self._preprocessing))
        return imaging.put_together(logits, len(pixels), self._preprocessing).softmax(dim=1)


def write(folder: Path, config: Mapping[str, Any]) -> str:
    """Write model.onnx beside a version's weights and compare its answers with the network's.

    Returns "" where it is there, else a sentence why not: the version is complete without it.
    """
    path = folder / NAME
    answering = Answering(imaging.network_beside(config, folder), config["preprocessing"]).eval()
    side = config["image_size"]
    pixels = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    try:
        _export(answering, pixels, path)
        difference = _difference(answering, pixels[:1], path)
    except Exception as error:  # the exporter raises many kinds for a network that it does not know
        log.warning("no ONNX file", exc_info=True)
        path.unlink(missing_ok=True)
        return f"The network could not be written as ONNX ({type(error).__name__})."
    if difference > TOLERANCE:
        path.unlink()
        return f"Its answers differ from the network's by up to {difference:.2g}."
    return ""


def _export(answering: Answering, pixels: np.ndarray, path: Path) -> None:
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # ONNX has no word for attention's short cut
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # what depends on the number of images alone is meant to be traced
            torch.onnx.export(
                answering,
                (torch.from_numpy(pixels),),
                str(path),
                input_names=["pixels"],
                output_names=["probabilities"],
                dynamic_axes={"pixels": {0: "n"}, "probabilities": {0: "n"}},
                opset_version=OPSET,
                dynamo=False,
            )
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _difference(answering: Answering, pixels: np.ndarray, path: Path) -> float:
    """The largest between the file's answers, by ONNX's own reference, and the network's."""
    from onnx.reference import ReferenceEvaluator

    [found] = ReferenceEvaluator(str(path)).run(None, {"pixels": pixels})
    with torch.no_grad():
        wanted = answering(torch.from_numpy(pixels)).numpy()
    return float(np.abs(found - wanted).max())
