"""A trained image classifier as an MLflow pyfunc, complete with the files that lie beside its weights.

MLflow copies this file into each model version (models from code); the version's own copies of imaging.py, of its
network (architecture.py) and of its preprocessing steps (step_*.py) lie beside its weights. So none of them imports
core or jobs, and a later change never changes an older version. The job takes its preprocessing and its final
predictions from there too: what was measured is what is served.

Input: a DataFrame with the column `image` (base64 of a file's bytes). Output, a row for each:
`label`, `confidence`, `probabilities` (in the order of the labels), and `error` where a row's image
cannot be read (then the rest of that row is empty).
"""

import base64
import binascii
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
from mlflow.pyfunc import PythonModel

COLUMNS = ["label", "confidence", "probabilities", "error"]


def imaging_beside(folder: Path) -> ModuleType:
    """The version's own imaging.py, under a name by which nothing else finds it."""
    spec = importlib.util.spec_from_file_location("_veritrain_imaging", folder / "imaging.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Classifier:
    """A trained network with its preprocessing. `folder` has the model's config.json, weights and code."""

    def __init__(self, folder: str | Path) -> None:
        config: dict[str, Any] = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        self.config = config
        self.labels: list[str] = list(config["labels"])
        self.size: int = config["image_size"]
        self._imaging = imaging_beside(Path(folder))
        self._steps = self._imaging.steps_beside(config, Path(folder))
        self._network = self._imaging.network_beside(config, Path(folder))

    def classify(self, files: Sequence[bytes]) -> tuple[np.ndarray, list[str | None]]:
        """Probabilities (n, labels) and, for each file that cannot be read, why; its row is NaN."""
        probabilities = np.full((len(files), len(self.labels)), np.nan)
        errors: list[str | None] = [None] * len(files)
        batch = self._imaging.BATCH
        for start in range(0, len(files), batch):
            images, places = [], []
            for place in range(start, min(start + batch, len(files))):
                try:
                    image = self._imaging.open_image(
                        files[place], max_pixels=self.config["max_pixels"], size=self.size
                    )
                except self._imaging.Unreadable as error:
                    errors[place] = str(error)
                    continue
                images.append(
                    self._imaging.prepare(image, self.size, self.config["preprocessing"], self._steps)
                )
                places.append(place)
            if images:
                probabilities[places] = self._forward(np.stack(images))
        return probabilities, errors

    def _forward(self, images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255.0
            done = self.config["preprocessing"]
            logits = self._imaging.answers(self._network, self._imaging.normalize(batch, done), done)
            result: np.ndarray = logits.double().softmax(dim=1).numpy()
        return result


class ImageClassifier(PythonModel):
    def load_context(self, context: Any) -> None:
        self.classifier = Classifier(Path(context.artifacts["config"]).parent)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:
        files: list[bytes] = []
        for text in model_input["image"]:
            try:
                files.append(base64.b64decode(text, validate=True))
            except (binascii.Error, TypeError, ValueError):
                files.append(b"")
        return pd.DataFrame(self.rows(files), columns=COLUMNS, dtype=object)

    def rows(self, files: Sequence[bytes]) -> list[dict[str, Any]]:
        """The same of the files as they are, for a server that has no use for a table."""
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
        return rows


mlflow.models.set_model(ImageClassifier())
