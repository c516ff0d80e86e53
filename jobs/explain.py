"""Where a model looked: called on the warm worker by core.explanations."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from core.files import FileStore
from core.settings import Settings
from core.spec import ExplainSpec


def run(spec_json: str) -> dict[str, Any]:
    """`images`: for each path {"png" (base64), "label", "confidence"}, None where it cannot be read."""
    spec = ExplainSpec.model_validate_json(spec_json)
    files = FileStore(Settings.from_env().files_url)
    model = _model(spec.folder, (Path(spec.folder) / "config.json").stat().st_mtime)
    return {"images": [_one(model, files, path) for path in spec.paths]}


@lru_cache(maxsize=2)
def _model(folder: str, _changed: float) -> Any:
    from jobs.vision.gradcam import Looker

    return Looker(Path(folder))


def _one(model: Any, files: FileStore, path: str) -> dict[str, Any] | None:
    try:
        found = model.look(files.read(path))
    except OSError:
        return None
    if found is None:
        return None
    pixels, label, confidence = found
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return {"png": base64.b64encode(out.getvalue()).decode("ascii"), "label": label, "confidence": confidence}
