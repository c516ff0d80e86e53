"""Images in a folder for each label, for the benchmarks of trainings: unpacked or made up, then decoded as a run does."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from core.files import FileStore
from core.params import Auguments
from jobs.vision.data import Pictures, Rows, decode

LABELS = 10


def unpack(archive: Path, folder: Path) -> None:
    """A tar with train/<label>/<name>.jpg, and perhaps test/<label>/<name>.jpg."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")


def make_up(folder: Path, images: int) -> None:
    """Random 32 × 32 JPEG files in a folder for each label."""
    random = np.random.default_rng(0)
    for index in range(images):
        path = folder / f"label-{index % LABELS}" / f"{index:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((32, 32)).save(path, "JPEG")


def drawn(folder: Path, images: int | None = None) -> Rows:
    """So many of the files in a folder for each label, all unless said, in an order drawn at random."""
    files = sorted(folder.glob("*/*.jpg"))
    names = sorted({path.parent.name for path in files})
    order = np.random.default_rng(0).permutation(len(files))[:images]
    return Rows(
        order,
        tuple(str(files[i].relative_to(folder)) for i in order),
        np.array([names.index(files[i].parent.name) for i in order]),
    )


def decoded(
    folder: Path, rows: Rows, size: int, auguments: Auguments, threads: int, scratch: Path
) -> Pictures:
    return decode(
        FileStore(str(folder)),
        rows,
        size=size,
        preprocessing=auguments.preprocessing.model_dump(),
        max_pixels=10**6,
        threads=threads,
        scratch=scratch,
        advanced=lambda count: None,
        unreadable=lambda image, reason: None,
    )
