"""Labels that a model version suggests for every image of a theme, and in which order to look at them.

Called by jobs.suggest in a worker: `main(job, spec)`. One pass over the images gives probabilities
and the vectors the last layer sees; everything is a function of the spec and the files it names.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from core import ordering
from core.errors import InvalidInput
from core.events import Type
from core.spec import SuggestSpec
from core.suggestion_files import BATCH, RESULT
from jobs.runtime import Job
from jobs.vision import hardware
from jobs.vision.inference import PATIENCE_SECONDS, Network, chunks, decoded, fetched, heed

DIMENSIONS = 64
"""Numbers of an embedding at most."""
SAMPLE = 10_000
"""Images from which the embedding's axes are learnt."""
SEED = 0
NAMED = 20
"""Unreadable images that are named in the log."""
PREPARED, PREDICTED = 0.02, 0.90
"""Shares of the whole at which the phases end."""


def main(job: Job, spec: SuggestSpec, *, patience_s: float = PATIENCE_SECONDS) -> None:
    """Predict, order, report. Raises Cancelled, and errors that `jobs.runtime.classify` knows."""
    job.progress(phase="prepare", fraction=0.0)
    chosen = hardware.choose("auto", job.settings.workers, job.folder / "hardware.json")
    torch.set_num_threads(chosen.threads)
    job.log(f"Computing on {hardware.name(chosen)} in {chosen.precision} with {chosen.threads} threads.")
    network = Network(fetched(job, spec.version, patience_s), chosen)
    if network.labels != spec.labels:
        raise InvalidInput(
            "The model tells other labels apart than its version says; ask for suggestions of another version."
        )
    table = pq.read_table(io.BytesIO(job.files.read(spec.manifest)))
    seen = _look(job, network, [str(path) for path in table["image_path"].to_pylist()], table["image_id"])
    heed(job)
    job.progress(phase="register", fraction=PREDICTED)
    labelled = table["label_id"].is_valid().to_numpy(zero_copy_only=False)[seen.places]
    teach = ordering.teach_order(seen.margin, seen.embeddings, labelled)
    heed(job)
    sweep = ordering.sweep_order(seen.embeddings, seen.predicted, SEED)
    rows = pa.table(
        {
            "image_id": pa.array(table["image_id"].to_numpy()[seen.places]),
            "label_id": pa.array(np.array(spec.label_ids, dtype=np.int64)[seen.predicted]),
            "confidence": pa.array(seen.confidence),
            "margin": pa.array(seen.margin),
            "embedding": pa.array([row.tobytes() for row in seen.embeddings], pa.binary()),
            "teach_rank": pa.array(teach, mask=labelled),
            "sweep_rank": pa.array(sweep),
        },
        schema=RESULT,
    )
    out = io.BytesIO()
    pq.write_table(rows, out, compression="zstd", row_group_size=BATCH)
    heed(job)
    skipped = len(table) - len(rows)
    job.log(f"Suggested labels for {len(rows)} images; {skipped} could not be read.")
    job.progress(phase="register", fraction=1.0, eta_s=0.0)
    job.emit(
        Type.RESULT,
        {
            "suggestions": job.files.put(out.getvalue(), "suggestions", "parquet"),
            "version_id": spec.version.id,
            "at": datetime.now(UTC).isoformat(),
            "n": len(rows),
            "skipped": skipped,
        },
    )


@dataclass(frozen=True)
class Seen:
    """What the network said of the images that could be read, in the manifest's order."""

    places: np.ndarray
    """(n,) rows of the manifest."""
    predicted: np.ndarray
    """(n,) place of the best label among the model's outputs."""
    confidence: np.ndarray
    margin: np.ndarray
    embeddings: np.ndarray
    """(n, dimensions) int8."""


class Reducer:
    """Vectors made short: the main axes (PCA) of the first SAMPLE of them, unit length, int8."""

    def __init__(self) -> None:
        self._raw: list[np.ndarray] = []
        self._done: list[np.ndarray] = []
        self._mean = self._axes = np.empty(0)

    def add(self, vectors: np.ndarray) -> None:
        if self._axes.size:
            self._done.append(self._reduce(vectors))
            return
        self._raw.append(vectors)
        if sum(map(len, self._raw)) >= SAMPLE:
            self._learn()

    def result(self) -> np.ndarray:
        """(n, dimensions) int8 of all vectors, in the order in which they came."""
        if not self._axes.size:
            self._learn()
        return np.concatenate(self._done)

    def _learn(self) -> None:
        sample = np.concatenate(self._raw).astype(np.float64)
        self._mean = sample.mean(axis=0)
        centred = sample - self._mean
        _, axes = np.linalg.eigh(centred.T @ centred)  # by rising variance
        axes = axes[:, ::-1][:, :DIMENSIONS]
        signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
        self._axes = axes * signs
        self._done = [self._reduce(vectors) for vectors in self._raw]
        self._raw = []

    def _reduce(self, vectors: np.ndarray) -> np.ndarray:
        short = (vectors.astype(np.float64) - self._mean) @ self._axes
        length = np.linalg.norm(short, axis=1, keepdims=True)
        return np.rint(127.0 * short / np.where(length > 0, length, 1.0)).astype(np.int8)


def _look(job: Job, network: Network, paths: list[str], ids: pa.ChunkedArray) -> Seen:
    """One pass over the images, in an order of chance so that its beginning is a fair sample."""
    total = len(paths)
    predicted = np.zeros(total, dtype=np.int64)
    confidence, margin = np.zeros(total), np.zeros(total)
    reducer, read = Reducer(), []
    order = np.random.default_rng(SEED).permutation(total)
    done = skipped = 0
    for places, pictures in decoded(job.files, network, paths, chunks(order)):
        good = []
        for place, picture in zip(places, pictures, strict=True):
            if isinstance(picture, str):
                skipped += 1
                if skipped <= NAMED:
                    job.log(f"Image {ids[int(place)]} is left out. {picture}", "warning")
            else:
                good.append(int(place))
        if good:
            probabilities, vectors = network(
                np.stack([picture for picture in pictures if not isinstance(picture, str)])
            )
            best = np.partition(probabilities, -2, axis=1)[:, -2:]
            predicted[good] = probabilities.argmax(axis=1)
            confidence[good], margin[good] = best[:, 1], best[:, 1] - best[:, 0]
            reducer.add(vectors)
            read.extend(good)
        done += len(places)
        heed(job)
        fraction = PREPARED + (PREDICTED - PREPARED) * done / total
        job.progress(phase="evaluate", fraction=fraction, step=done, steps=total)
    if not read:
        raise InvalidInput("None of the theme's images can be read; check the file store.")
    back = np.argsort(read)
    kept = np.array(read)[back]
    return Seen(kept, predicted[kept], confidence[kept], margin[kept], reducer.result()[back])
