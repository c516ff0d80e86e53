"""Checkpoints on disk: written so that no power cut tears one, kept two deep, and never trusted unread."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytorch_lightning.plugins.io import TorchCheckpointIO

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"
DIGESTS = "digests.json"
"""SHA-256 of the files written last; a file whose hash is not among them is not whole."""
KNOWN = 8


class SafeFiles(TorchCheckpointIO):
    """Each file is written beside its place, forced to disk and moved there; the last but one stays."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        place = Path(path)
        part = place.with_suffix(".part")
        super().save_checkpoint(checkpoint, part, storage_options)
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        # Known before it is there: between any two of these steps, what is there is known.
        _remember(place.parent, digest)
        if place.name == LAST and place.exists():
            place.replace(place.with_name(PREVIOUS))
        part.replace(place)


def newest(folder: Path, warn: Callable[[str], None] = lambda _text: None) -> Path | None:
    """The newest checkpoint that is whole; `warn` is told of each that is not."""
    known = _digests(folder)
    for name in (LAST, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() in known:
                return path
        warn(f"The checkpoint “{name}” is damaged and was left out.")
    return None


def _remember(folder: Path, digest: str) -> None:
    part = folder / f"{DIGESTS}.part"
    with part.open("w", encoding="utf-8") as file:
        json.dump([*_digests(folder), digest][-KNOWN:], file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / DIGESTS)


def _digests(folder: Path) -> list[str]:
    try:
        found: list[str] = json.loads((folder / DIGESTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return found
