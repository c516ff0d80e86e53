"""The images of a snapshot: decoded once into one block of uint8, then dealt in batches by (seed, epoch)."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import torch

from core.errors import InvalidInput
from core.files import FileStore
from core.spec import RunSpec
from jobs.vision import steps
from jobs.vision.hardware import sent
from jobs.vision.imaging import Unreadable, open_image, prepare
from jobs.vision.kept import Kept
from jobs.vision.transforms import generator

MEMORY_SHARE = 0.25
"""Share of the free memory the decoded images may take; above it they lie in a file beside the run."""
GPU_SHARE = 0.1
"""Share of a GPU's free memory that decoded images may take there."""
BAD_SHARE = 0.10
"""Above this share of unreadable images something is wrong with the store, not with single files."""
ORDER = 2**31
"""First part of the generators that order an epoch; those of `transforms` have the epoch there."""
CHUNK = 256
"""Files that are decoded between two reports of progress."""

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Images (n, 3, s, s) uint8, targets (n,), image ids (n,) int64."""


@dataclass(frozen=True)
class Rows:
    """The images of one split, in the order of the manifest."""

    ids: np.ndarray
    """(n,) int64: `train_data.id`."""
    paths: tuple[str, ...]
    targets: np.ndarray
    """(n,) int64: place of the label in the spec's labels."""

    def __len__(self) -> int:
        return len(self.paths)

    def keep(self, good: np.ndarray) -> Rows:
        paths = tuple(path for path, ok in zip(self.paths, good, strict=True) if ok)
        return Rows(self.ids[good], paths, self.targets[good])


def read_manifest(files: FileStore, spec: RunSpec) -> dict[str, Rows]:
    """The splits train, valid and test. Raises InvalidInput where one is empty or a label is unknown."""
    table = pq.read_table(io.BytesIO(files.read(spec.snapshot.path)))
    places = {label: place for place, label in enumerate(spec.labels)}
    names = [str(name) for name in table["label"].to_pylist()]
    if unknown := set(names) - set(places):
        raise InvalidInput(
            "The snapshot has the label “{label}”, which the run does not know; start the run anew.",
            label=min(unknown),
        )
    ids = np.array(table["image_id"].to_pylist(), dtype=np.int64)
    targets = np.array([places[name] for name in names], dtype=np.int64)
    split = np.array(table["split"].to_pylist(), dtype=object)
    paths = [str(path) for path in table["image_path"].to_pylist()]
    found = {}
    for name in ("train", "valid", "test"):
        inside = np.flatnonzero(split == name)
        if not len(inside):
            raise InvalidInput("The split “{split}” has no images; split the theme again.", split=name)
        found[name] = Rows(ids[inside], tuple(paths[i] for i in inside), targets[inside])
    return found


@dataclass(frozen=True)
class Pictures:
    """Decoded images (n, 3, s, s) uint8, in memory or mapped from a file, with their rows."""

    rows: Rows
    pixels: torch.Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, places: np.ndarray) -> Batch:
        """The images on the device of `pixels`, the rest in memory."""
        return (
            self.pixels.index_select(0, sent(torch.from_numpy(places), self.pixels.device)),
            torch.from_numpy(self.rows.targets[places]),
            torch.from_numpy(self.rows.ids[places]),
        )

    def near(self, device: torch.device) -> Pictures:
        """Themselves on a GPU that has room for them, so that no batch travels; else as they are."""
        if device.type != "cuda" or self.pixels.nbytes > torch.cuda.mem_get_info(device)[0] * GPU_SHARE:
            return self
        return replace(self, pixels=self.pixels.to(device))


def decode(
    files: FileStore,
    rows: Rows,
    *,
    size: int,
    preprocessing: dict[str, Any],
    max_pixels: int,
    threads: int,
    scratch: Path,
    memory: int | None = None,
    keep: Path | None = None,
    advanced: Callable[[int], None],
    unreadable: Callable[[int, str], None],
) -> Pictures:
    """Decode and prepare every image of `rows` once.

    What does not fit in `memory` bytes (a share of the free memory unless given) goes to the file
    `scratch`. Prepared images are kept in the folder `keep`, where one is given, and read from there.
    `advanced` is told how many are done, `unreadable` each image that is left out and why.
    Raises InvalidInput when too many cannot be read or none is left.
    """
    shape = (len(rows), 3, size, size)
    needed = int(np.prod(shape))
    if needed <= (memory if memory is not None else psutil.virtual_memory().available * MEMORY_SHARE):
        pixels = np.empty(shape, dtype=np.uint8)
    else:
        scratch.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.memmap(scratch, dtype=np.uint8, mode="w+", shape=shape)
        scratch.unlink()  # the mapping keeps it; nothing is left behind however the job ends
    good = np.ones(len(rows), dtype=bool)
    done = steps.loaded(preprocessing)
    kept_images = Kept(keep, size, preprocessing) if keep is not None else None

    def one(place: int) -> str | None:
        found = kept_images.get(rows.paths[place]) if kept_images else None
        if found is not None:
            pixels[place] = found.transpose(2, 0, 1)
            return None
        try:
            image = open_image(files.read(rows.paths[place]), max_pixels=max_pixels, size=size)
        except (Unreadable, OSError) as error:
            return str(error) if isinstance(error, Unreadable) else "The file is not in the store."
        found = prepare(image, size, preprocessing, done)
        if kept_images:
            kept_images.put(rows.paths[place], found)
        pixels[place] = found.transpose(2, 0, 1)
        return None

    with ThreadPoolExecutor(max_workers=threads or os.cpu_count() or 1) as pool:
        for start in range(0, len(rows), CHUNK):
            places = range(start, min(start + CHUNK, len(rows)))
            for place, reason in zip(places, pool.map(one, places), strict=True):
                if reason is not None:
                    good[place] = False
                    unreadable(int(rows.ids[place]), reason)
            advanced(places.stop)
    bad = int((~good).sum())
    if bad > BAD_SHARE * len(rows):
        raise InvalidInput(
            "{bad} of {total} images cannot be read, the first is image {first}; check the file store, "
            "or delete these images.",
            bad=bad,
            total=len(rows),
            first=int(rows.ids[~good][0]),
        )
    if not bad:
        return Pictures(rows, torch.from_numpy(pixels))
    kept = np.flatnonzero(good)
    for place, source in enumerate(kept):  # in place: a mapped block may be larger than the memory
        pixels[place] = pixels[source]
    return Pictures(rows.keep(good), torch.from_numpy(pixels[: len(kept)]))


class TrainBatches:
    """Batches of one epoch, shuffled by (seed, epoch). A last batch of one image is left out.

    Batch normalisation cannot learn from one image; which one it is changes with every epoch.
    """

    def __init__(
        self,
        pictures: Pictures,
        batch_size: int,
        seed: int,
        epoch: Callable[[], int],
        position: Callable[[], int] = lambda: 0,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        """`position` says how many batches of the epoch that begins were dealt before.

        `share` (k, n): the k-th of n processes gets every n-th image of each batch, all as many.
        """
        self._share = share
        self._pictures = pictures
        self._position = position
        self._size = batch_size
        self._seed = seed
        self._epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(len(self._pictures), self._size)
        return whole + (rest > self._share[1])

    def __iter__(self) -> Iterator[Batch]:
        order = generator(self._seed, ORDER, self._epoch()).permutation(len(self._pictures))
        for number in range(self._position(), len(self)):
            batch = order[number * self._size : (number + 1) * self._size]
            rank, size = self._share
            yield self._pictures.batch(batch[: len(batch) // size * size][rank::size])


class EvalBatches:
    """Batches in the order of the manifest; with `share` (k, n) of every n-th image from the k-th on."""

    def __init__(self, pictures: Pictures, batch_size: int, share: tuple[int, int] = (0, 1)) -> None:
        self._pictures = pictures
        self._places = np.arange(share[0], len(pictures), share[1])
        self._size = batch_size

    def __len__(self) -> int:
        return -(-len(self._places) // self._size)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self._places), self._size):
            yield self._pictures.batch(self._places[start : start + self._size])
