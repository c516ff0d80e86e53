"""Checkpoints on disk: written so that no power cut tears one, kept two deep, and never trusted unread."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from core.errors import InvalidInput
from core.files import sha256_of
from core.spec import best_beside

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"
DIGESTS = "digests.json"
"""SHA-256 of the files written last, by name; a file whose hash is not among them is not whole."""
KNOWN = 3
"""Of each name: what is there, what comes, and what was moved aside."""


def nobody(_text: str) -> None:
    """Hears a warning and does nothing."""


class SafeFiles(TorchCheckpointIO):
    """Each file is written beside its place, forced to disk, read back and moved there; the last but one stays."""

    def __init__(self) -> None:
        super().__init__()
        self._whole = False
        """Whether `last.ckpt` is known to be whole, since this process wrote it."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Raises OSError where what was written cannot be read again; what was there before stays."""
        place = Path(path)
        part = place.with_suffix(".part")
        super().save_checkpoint(checkpoint, part, storage_options)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        try:
            torch.load(part, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:
            part.unlink()
            raise OSError(
                f"The checkpoint {place.name} could not be read again after it was written."
            ) from error
        # Known before it is there: between any two of these steps, what is there is known.
        _remember(place, sha256_of(part))
        if place.name == LAST:
            # A damaged one must not take the place of the one before it, which may be all that is left.
            if place.exists() and (self._whole or is_whole(place)):
                place.replace(place.with_name(PREVIOUS))
            self._whole = True
        part.replace(place)


def written(path: Path) -> str:
    """SHA-256 that a file of this folder had when it was written last. Raises KeyError for others."""
    return _digests(path.parent)[path.name][-1]


def is_whole(path: Path) -> bool:
    """Whether the file is as it was written."""
    known = _digests(path.parent)
    names = (path.name, LAST) if path.name == PREVIOUS else (path.name, "")
    return path.exists() and sha256_of(path) in {each for name in names for each in known.get(name, [])}


def newest(folder: Path, warn: Callable[[str], None] = nobody) -> Path | None:
    """The newest checkpoint that is whole; `warn` is told of each that is not."""
    return _first_whole(folder, (LAST, PREVIOUS), warn)


def best(folder: Path, warn: Callable[[str], None] = nobody) -> Path:
    """The checkpoint of the best epoch; where it is damaged, the newest that is whole.

    Raises InvalidInput where none is.
    """
    found = _first_whole(folder, (BEST, LAST, PREVIOUS), warn)
    if found is None:
        raise InvalidInput(
            "No checkpoint of this run is whole any more, so there is no model; check the disk, then train again."
        )
    return found


def adopt(source: Path, sha256: str, folder: Path, fresh: dict[str, Any]) -> None:
    """Put another run's checkpoint into an empty `folder`, for a training that goes on where that one ended.

    Its best weights lie beside it, see core.run_growth.

    Optimiser, position and best epoch are taken over. The learning rate begins as `fresh` says
    ({"param_groups", "lr_schedulers"}), the times count from 0, and early stopping waits anew.
    Raises InvalidInput where the file is gone or is not the one with this hash.
    """
    if not source.exists() or sha256_of(source) != sha256:
        raise InvalidInput(
            "The checkpoint that this run goes on from is gone or was changed; extend the run it came from again."
        )
    checkpoint = torch.load(source, map_location="cpu", weights_only=True)
    [optimizer] = checkpoint["optimizer_states"]
    for group, new in zip(optimizer["param_groups"], fresh["param_groups"], strict=True):
        group.update({name: value for name, value in new.items() if name != "params"})
    checkpoint["lr_schedulers"] = fresh["lr_schedulers"]
    theirs = best_beside(source)
    folder.mkdir(parents=True, exist_ok=True)
    for key, state in checkpoint["callbacks"].items():
        if key.startswith("EarlyStopping"):
            state.update(wait_count=0, stopped_epoch=0)
        elif key.startswith("Reporter"):
            state.update(seconds=0.0, training_seconds=0.0, images=0)
        elif key.startswith("Checkpoint"):
            moved = {"dirpath": str(folder)}
            for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
                moved[name] = str(folder / Path(state[name]).name) if state[name] else ""
            state.update(moved)
            state["best_k_models"] = {
                str(folder / Path(path).name): score for path, score in state["best_k_models"].items()
            }
    if theirs.exists():
        part = (folder / BEST).with_suffix(".part")
        shutil.copyfile(theirs, part)
        _remember(folder / BEST, sha256_of(part))
        part.replace(folder / BEST)
    SafeFiles().save_checkpoint(checkpoint, folder / LAST)


def weights_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The network's weights of a checkpoint, contiguous and on the processor."""
    found = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return {name.removeprefix("network."): value.contiguous() for name, value in found["state_dict"].items()}


def _first_whole(folder: Path, names: tuple[str, ...], warn: Callable[[str], None]) -> Path | None:
    for name in names:
        path = folder / name
        if not path.exists():
            continue
        if is_whole(path):
            return path
        warn(f"The checkpoint “{name}” is damaged and was left out.")
    return None


def _remember(place: Path, sha256: str) -> None:
    known = _digests(place.parent)
    known[place.name] = [*known.get(place.name, []), sha256][-KNOWN:]
    part = place.with_name(f"{DIGESTS}.part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(known, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(place.with_name(DIGESTS))


def _digests(folder: Path) -> dict[str, list[str]]:
    try:
        found = json.loads((folder / DIGESTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    # Runs that began before names were kept have one list for all.
    return found if isinstance(found, dict) else {"": found}
