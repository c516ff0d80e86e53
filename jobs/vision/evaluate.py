"""Final figures of a run, measured with the very code and weights that will be served."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, precision_recall_fscore_support

from core.files import FileStore
from jobs.vision.data import CHUNK, Rows
from jobs.vision.pyfunc_model import Classifier

TIMED = 30
"""Answers whose time is taken: under a second for most networks, and a median that a busy moment does not move."""


@dataclass(frozen=True)
class Predictions:
    """Of the readable images of one split."""

    rows: Rows
    probabilities: np.ndarray
    """(n, labels) float64."""


def predict(
    classifier: Classifier,
    files: FileStore,
    rows: Rows,
    advanced: Callable[[int], None],
    unreadable: Callable[[int, str], None],
) -> Predictions:
    """Classify the stored files of `rows`. `advanced` is told how many are done, `unreadable` each
    image that is left out and why."""
    parts, good = [], np.ones(len(rows), dtype=bool)
    for start in range(0, len(rows), CHUNK):
        chunk = rows.paths[start : start + CHUNK]
        probabilities, errors = classifier.classify([_read(files, path) for path in chunk])
        for place, error in enumerate(errors, start):
            if error is not None:
                good[place] = False
                unreadable(int(rows.ids[place]), error)
        parts.append(probabilities)
        advanced(start + len(chunk))
    return Predictions(rows.keep(good), np.concatenate(parts)[good])


def latency(classifier: Classifier, files: FileStore, rows: Rows) -> float:
    """Milliseconds that one image takes from its bytes to its answer: the median of TIMED, one at a time.

    n ≥ 1 rows; where they are fewer than TIMED, they are taken in turns.
    """
    contents = [_read(files, path) for path in rows.paths[:TIMED]]
    classifier.classify(contents[:1])  # the first answer also pays for what is set up once
    seconds = []
    for number in range(TIMED):
        began = time.perf_counter()
        classifier.classify([contents[number % len(contents)]])
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds)) * 1_000


def _read(files: FileStore, path: str) -> bytes:
    try:
        return files.read(path)
    except OSError:
        return b""


def figures(labels: Sequence[str], found: Predictions) -> dict[str, Any]:
    """`metrics` (loss, accuracy, macro_f1, n), `confusion` (rows are the truth) and `per_class` of a split.

    Macro F1 is the mean over all labels, one without images in this split counting as 0.
    """
    places = np.arange(len(labels))
    truth, predicted = found.rows.targets, found.probabilities.argmax(axis=1)
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=places, zero_division=0
    )
    return {
        "metrics": {
            "loss": float(log_loss(truth, found.probabilities, labels=places)),
            "accuracy": float(accuracy_score(truth, predicted)),
            "macro_f1": float(np.mean(f1)),
            "n": len(truth),
        },
        "confusion": confusion_matrix(truth, predicted, labels=places).tolist(),
        "per_class": [
            {
                "label": label,
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "support": int(support[i]),
            }
            for i, label in enumerate(labels)
        ],
    }


def write_predictions(path: Any, labels: Sequence[str], splits: dict[str, Predictions]) -> None:
    """One Parquet row an image: image_id, split, label, predicted, confidence, probabilities."""
    tables = []
    for split, found in splits.items():
        best = found.probabilities.argmax(axis=1)
        tables.append(
            pa.table(
                {
                    "image_id": pa.array(found.rows.ids.tolist(), pa.int64()),
                    "split": pa.array([split] * len(best), pa.string()),
                    "label": pa.array([labels[i] for i in found.rows.targets], pa.string()),
                    "predicted": pa.array([labels[i] for i in best], pa.string()),
                    "confidence": pa.array(found.probabilities.max(axis=1).tolist(), pa.float64()),
                    "probabilities": pa.array(found.probabilities.tolist(), pa.list_(pa.float64())),
                }
            )
        )
    pq.write_table(pa.concat_tables(tables), path, compression="zstd")
