"""What jobs share that ask a model version: its files, its network, the images prepared for it.

For jobs.vision.suggest and jobs.vision.batch_predict. The way from a file to a probability is that of serving: the
version's own code and preprocessing.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from core.errors import Unavailable
from core.files import FileStore
from core.prediction_files import GONE
from core.spec import VersionRef
from jobs.runtime import Cancelled, Job
from jobs.vision import architectures, hardware, steps
from jobs.vision.imaging import (
    Unreadable,
    network_beside,
    normalize,
    open_image,
    patches,
    prepare,
    put_together,
    steps_beside,
)
from jobs.vision.tracking import patiently

PATIENCE_SECONDS = 180.0
"""How long the start waits for an MLflow that does not answer."""
FORWARD = 64
"""Images that go through the network at once."""
CHUNK = 256
"""Images that are decoded between two looks at what people want."""
AHEAD = 2
"""Chunks that are decoded while the network computes."""


class Network:
    """A version's network with its own preprocessing; `folder` has its config.json and weights."""

    def __init__(self, folder: Path, chosen: hardware.Hardware) -> None:
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.labels: tuple[str, ...] = tuple(self.config["labels"])
        self.size: int = self.config["image_size"]
        if self.config["format"] == 1:  # versions from before they carried their code
            network = architectures.get(self.config["architecture"]).build(len(self.labels), self.size)
            network.load_state_dict(load_file(folder / "weights.safetensors"))
            self._steps = steps.loaded(self.config["preprocessing"])
        else:
            network = network_beside(self.config, folder)
            self._steps = steps_beside(self.config, folder)
        self._network = network.eval().to(chosen.device).to(memory_format=torch.channels_last)
        self._chosen = chosen
        self._seen = torch.empty(0)
        *_, last = (layer for layer in network.modules() if isinstance(layer, torch.nn.Linear))
        last.register_forward_pre_hook(self._keep)

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (n, labels) float64 and what the last layer saw (n, width) float32, of uint8 (n, s, s, 3).

        Where images are cut into patches, what it saw is the patches' mean.
        """
        chosen, done = self._chosen, self.config["preprocessing"]
        probabilities, vectors = [], []
        with torch.inference_mode():
            for part in torch.from_numpy(pixels).split(FORWARD):
                batch = part.to(chosen.device).permute(0, 3, 1, 2).float() / 255.0
                logits, seen = [], []
                for piece in patches(normalize(batch, done), done).split(FORWARD):
                    with torch.autocast(chosen.device, torch.bfloat16, enabled=chosen.precision == "bf16"):
                        logits.append(self._network(piece).double())
                    seen.append(self._seen.float())
                found = put_together(torch.cat(logits), len(batch), done)
                probabilities.append(found.softmax(dim=1).cpu().numpy())
                vectors.append(torch.cat(seen).unflatten(0, (len(batch), -1)).mean(dim=1).cpu().numpy())
        return np.concatenate(probabilities), np.concatenate(vectors)

    def prepared(self, image: Image.Image) -> np.ndarray:
        return prepare(image, self.size, self.config["preprocessing"], self._steps)

    def _keep(self, _layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self._seen = inputs[0]


def chunks(order: np.ndarray) -> Iterator[np.ndarray]:
    """The places in parts of CHUNK."""
    return (order[start : start + CHUNK] for start in range(0, len(order), CHUNK))


def decoded(
    files: FileStore, network: Network, paths: Sequence[str], wanted: Iterable[np.ndarray]
) -> Iterator[tuple[np.ndarray, list[np.ndarray | str]]]:
    """The chunks `wanted`, each place with its prepared image, or why it cannot be read."""

    def one(place: int) -> np.ndarray | str:
        try:
            data = files.read(paths[place])
            image = open_image(data, max_pixels=network.config["max_pixels"], size=network.size)
        except (Unreadable, OSError) as error:
            return str(error) if isinstance(error, Unreadable) else GONE
        return network.prepared(image)

    with ThreadPoolExecutor(max_workers=hardware.cores()) as pool:
        waiting: deque[tuple[np.ndarray, Iterator[np.ndarray | str]]] = deque()
        for places in wanted:
            waiting.append((places, pool.map(one, places)))
            if len(waiting) > AHEAD:
                done, pictures = waiting.popleft()
                yield done, list(pictures)
        for done, pictures in waiting:
            yield done, list(pictures)


def fetched(job: Job, version: VersionRef, patience_s: float) -> Path:
    """The version's own files, from MLflow. Raises Unavailable."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # trying again is ours: one can cancel it
    folder = job.folder / "model"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    mlflow.set_tracking_uri(job.settings.mlflow_url)
    mlflow.set_registry_uri(job.settings.mlflow_url)
    uri = f"{version.uri}/artifacts"

    def fetch() -> str:
        return mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder))

    try:
        return Path(patiently(fetch, job.settings.mlflow_url, patience_s, lambda: heed(job)))
    except Unavailable as error:
        raise Unavailable(
            "MLflow at {url} did not give the model; try again when it answers.",
            url=job.settings.mlflow_url,
        ) from error


def heed(job: Job) -> None:
    """Raises Cancelled where a person asked for it."""
    if job.wanted() == "cancel":
        raise Cancelled
