"""Pure. A share of the requests as rows of JSON, to look at later: what was answered, never what was asked."""

from __future__ import annotations

import json
import logging
import random
import threading
from dataclasses import asdict
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from core import logs
from core.gateway.observed import Observed, Told
from core.settings import MIB, Settings

FILE = "predictions.jsonl"
FILE_BYTES, FILES = 10 * MIB, 5
"""Of one file, and how many older ones are kept."""
MAX_IMAGES = 100
"""Images or rows of one request that are written down."""

_lock = threading.Lock()
_open: dict[Path, logging.Handler] = {}


def chosen(settings: Settings) -> bool:
    """Whether this request is one of the sample."""
    return random.random() < settings.predict_sample


def keep(settings: Settings, seen: Observed) -> None:
    """Append a row to `logs/predictions.jsonl` in the data folder."""
    row: dict[str, Any] = {
        "at": seen.at.isoformat(timespec="milliseconds"),
        "request_id": logs.request_id(),
        "model": seen.model,
        "version": seen.version_id,
        "deployment": seen.deployment_id,
        "ms": round(seen.seconds * 1000, 1),
        "status": seen.status,
    }
    told = seen.predictions[:MAX_IMAGES]
    if any(each.answered for each in told):
        row["rows"] = [{"label": each.label, "confidence": each.confidence} for each in told]
    else:
        row["images"] = [_image(each) for each in told]
    text = json.dumps(row, ensure_ascii=False)
    _file(settings.data_dir / "logs" / FILE).emit(
        logging.LogRecord(__name__, logging.INFO, "", 0, text, None, None)
    )


def _image(told: Told) -> dict[str, Any]:
    return {name: value for name, value in asdict(told).items() if name != "answered"}


def _file(path: Path) -> logging.Handler:
    with _lock:
        if path not in _open:
            path.parent.mkdir(parents=True, exist_ok=True)
            _open[path] = RotatingFileHandler(path, maxBytes=FILE_BYTES, backupCount=FILES, encoding="utf-8")
        return _open[path]
