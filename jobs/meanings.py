"""What a local embedding model says of parallel texts, for jobs.check_texts: the mean of its last states by text.

Nothing is downloaded, no code of a model's folder is run, and weights are read as safetensors only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from core.files import FileStore
from core.quality.texts import paired
from core.quality.texts.alignment import BROKEN_MODEL, NO_MODEL
from core.quality.texts.lexicon import Meanings
from core.texts.records import Record
from jobs.runtime import Job
from jobs.vision import hardware

log = logging.getLogger(__name__)
_Made = TypeVar("_Made")

BATCH = 64
"""Texts that go through the model at once, of about one length."""
MOST_TOKENS = 256
"""Of one text; the rest of a long one is not read."""
FILES = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "sentencepiece.bpe.model",
)
"""Of a model's folder in the file store, as far as they are there."""


class Unusable(Exception):
    """The model cannot be used; its text is the sentence for people."""


def reader(job: Job, progress: Callable[[float], None]) -> paired.Model:
    """The model that the settings name. Both this and reading raise Unusable.

    `progress` is told the share of the pairs that are read; what it raises ends the work.
    """
    place = folder(job.settings.embedding_model, job.files)
    model = _guarded(lambda: Model(place, job))
    sizes = "".join(f" {each.name}:{each.stat().st_size}" for each in sorted(place.iterdir()))
    return paired.Model(
        job.settings.embedding_model + sizes, lambda records: _embedded(model, records, progress)
    )


def _embedded(model: Model, records: Sequence[Record], progress: Callable[[float], None]) -> Meanings:
    """Vectors of each prompt and each answer; of no text, 0."""
    sides = [[record.prompt for record in records], [record.answer for record in records]]
    texts = sorted({text for side in sides for text in side if text.strip()}, key=lambda t: (len(t), t))
    parts: list[NDArray[np.float32]] = []
    for start in range(0, len(texts), BATCH):
        some = texts[start : start + BATCH]
        parts.append(_guarded(lambda: model(some)))  # noqa: B023 — called at once
        progress(min(1.0, (start + BATCH) / len(texts)))
    width = parts[0].shape[1] if parts else 1
    vectors = np.concatenate([*parts, np.zeros((1, width), np.float32)])
    place = {text: number for number, text in enumerate(texts)}
    sources, targets = (vectors[[place.get(text, -1) for text in side]] for side in sides)
    return Meanings(sources, targets)


def folder(name: str, files: FileStore) -> Path:
    """Where the model lies on this machine: an absolute folder, or one of the file store. Raises Unusable."""
    if not Path(name).is_absolute():
        keys = [f"{name.rstrip('/')}/{each}" for each in FILES]
        try:
            there = [files.local_path(key) for key in keys if files.exists(key)]
        except ValueError:  # no key of the store
            there = []
        found = there[0].parent if there else None
    else:
        found = Path(name)
    if found is None or not (found / "config.json").is_file():
        log.error("there is no config.json in the folder “%s” of VERITRAIN_EMBEDDING_MODEL", name)
        raise Unusable(NO_MODEL)
    return found


class Model:
    """A transformers encoder with its tokenizer."""

    def __init__(self, folder: Path, job: Job) -> None:
        local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        self._tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        network = AutoModel.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **local)
        chosen = hardware.choose("auto", job.settings.workers, job.folder / "hardware.json")
        torch.set_num_threads(chosen.threads)
        self._device = chosen.device
        self._network = network.eval().to(chosen.device)
        # Two places fewer than a model has: those of RoBERTa begin behind its padding.
        places = getattr(network.config, "max_position_embeddings", MOST_TOKENS + 2)
        self._most = min(MOST_TOKENS, places - 2, self._tokenizer.model_max_length)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of length 1 (n × d): the mean over a text's own tokens (Reimers and Gurevych, EMNLP 2019)."""
        tokens = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=self._most, return_tensors="pt"
        ).to(self._device)
        with torch.inference_mode():
            states = self._network(**tokens).last_hidden_state.float()
            mask = tokens["attention_mask"].unsqueeze(-1).float()
            mean = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
            made = torch.nn.functional.normalize(mean, dim=1).cpu().numpy()
        if not np.isfinite(made).all():
            raise ValueError("the model's vectors are not numbers")
        return np.asarray(made, dtype=np.float32)


def _guarded(work: Callable[[], _Made]) -> _Made:
    try:
        return work()
    except Unusable:
        raise
    except Exception as error:  # a folder may hold anything, and every library has its own errors
        log.exception("the model of VERITRAIN_EMBEDDING_MODEL cannot be used")
        raise Unusable(BROKEN_MODEL) from error
