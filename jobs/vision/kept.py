"""Prepared images kept between trainings, by a hash of everything that makes them what they are."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jobs.vision import imaging, steps


class Kept:
    """PNG files in `folder`, named by their image's content, size, preprocessing and the code that does it."""

    def __init__(self, folder: Path, size: int, preprocessing: Mapping[str, Any]) -> None:
        self._folder = folder
        self._size = size
        code = [
            Path(imaging.__file__),
            *(steps.FOLDER / f"{name}.py" for name, _ in steps.plan(preprocessing)),
        ]
        parts = [
            json.dumps([size, preprocessing], sort_keys=True).encode(),
            *(path.read_bytes() for path in code),
        ]
        self._made_by = hashlib.sha256(b"\0".join(parts)).digest()

    def get(self, path: str) -> np.ndarray | None:
        """(s, s, 3) of uint8; None where it was not kept, or cannot be read any more."""
        with suppress(OSError, SyntaxError, ValueError):  # what Pillow raises for a damaged PNG
            with Image.open(self._place(path)) as image:
                pixels = np.asarray(image)
            if pixels.shape == (self._size, self._size, 3):
                return pixels
        return None

    def put(self, path: str, pixels: np.ndarray) -> None:
        """Keep it if there is room: a full disk costs the next training time, nothing else."""
        place = self._place(path)
        part = place.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(part, "PNG", compress_level=1)
            part.replace(place)
        part.unlink(missing_ok=True)

    def _place(self, path: str) -> Path:
        name = hashlib.sha256(
            self._made_by + path.encode()
        ).hexdigest()  # `path` holds the hash of the content
        return self._folder / name[:2] / f"{name}.png"
