"""The trained model as an MLflow model version that needs nothing of this repository."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array
from safetensors.torch import save_file

from core.files import sha256_of
from core.params import Auguments, Params, network_side, to_yaml
from core.serving_protocol import ADDED_BY_MLFLOW
from core.spec import RunSpec
from jobs.vision import architectures, imaging, onnx_file, pyfunc_model, steps
from jobs.vision.tracking import Tracker, tags

NEEDS = ("mlflow", "torch", "torchvision", "pillow", "numpy", "pandas", "safetensors")
"""What the model's code imports; named here because MLflow's own search would import the model for it."""

logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)  # it misses pip where uv installs

SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, "image")]),
    outputs=Schema(
        [
            ColSpec(DataType.string, "label", required=False),
            ColSpec(DataType.double, "confidence", required=False),
            ColSpec(Array(DataType.double), "probabilities", required=False),
            ColSpec(DataType.string, "error", required=False),
        ]
    ),
)


@dataclass(frozen=True)
class Package:
    """The model's files in the run's folder."""

    folder: Path
    config: dict[str, Any]
    weights: Path
    files: dict[str, str]
    """SHA-256 of each file, by name."""
    without_onnx: str
    """Why there is no model.onnx; empty where there is one."""

    @property
    def weights_sha256(self) -> str:
        return self.files[self.weights.name]


def write(
    folder: Path,
    spec: RunSpec,
    params: Params,
    auguments: Auguments,
    weights: dict[str, torch.Tensor],
    max_pixels: int,
    *,
    onnx: bool = True,
) -> Package:
    """Write everything the model carries: weights, configuration, and where it comes from.

    Without `onnx` a package that only shall be tried is written sooner.
    """
    folder.mkdir(parents=True, exist_ok=True)
    preprocessing = auguments.preprocessing.model_dump(mode="json")
    done = steps.plan(preprocessing)
    config = {
        "format": 2,  # 1 had no code beside its weights
        "architecture": params.model.architecture,
        "network_size": network_side(params, auguments),
        "steps": done,
        "labels": list(spec.labels),
        "image_size": params.data.image_size,
        "preprocessing": preprocessing,
        "max_pixels": max_pixels,
    }
    save_file(weights, folder / "weights.safetensors")
    texts = {
        "config.json": _json(config),
        "params.yaml": to_yaml(params),
        "auguments.yaml": to_yaml(auguments),
        "snapshot.json": _json(spec.snapshot.model_dump()),
        "code.json": _json(spec.code.model_dump()),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    shutil.copyfile(imaging.__file__, folder / "imaging.py")
    shutil.copyfile(architectures.FOLDER / f"{params.model.architecture}.py", folder / "architecture.py")
    for step, _options in done:
        shutil.copyfile(steps.FOLDER / f"{step}.py", folder / f"step_{step}.py")
    without_onnx = onnx_file.write(folder, config) if onnx else "It was not asked for."
    files = {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.is_file()}
    return Package(folder, config, folder / "weights.safetensors", files, without_onnx)


def register(package: Package, spec: RunSpec, tracker: Tracker, extra: list[Path]) -> dict[str, Any]:
    """Log the model with MLflow and register it: name, version, uri, its files' hashes, their size in bytes.

    A version that an earlier attempt registered is found again. `extra` files go beside the model.
    Raises what MLflow raises.
    """
    client = tracker.client
    mlflow.set_tracking_uri(tracker.url)
    mlflow.set_registry_uri(tracker.url)
    name = f"veritrain-theme-{spec.theme_id}"
    try:
        client.create_registered_model(name, tags={"veritrain.theme": spec.theme_name})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    for found in client.search_model_versions(f"name = '{name}'"):
        if found.run_id == tracker.run_id:
            # That attempt logged files of its own; rebuilt ones need not be the same byte for byte.
            uri = f"models:/{name}/{found.version}"
            return _model(package, name, int(found.version), _logged(uri))
    for path in extra:
        client.log_artifact(tracker.run_id, str(path))
    with mlflow.start_run(run_id=tracker.run_id), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*input example was not provided")
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(pyfunc_model.__file__).resolve()),
            artifacts={path.stem: str(path) for path in sorted(package.folder.iterdir())},
            signature=SIGNATURE,
            pip_requirements=[f"{need}=={version(need).split('+')[0]}" for need in NEEDS],
        )
    made = client.create_model_version(
        name,
        source=info.model_uri,
        run_id=tracker.run_id,
        model_id=info.model_id,
        tags={**tags(spec), "veritrain.weights": package.weights_sha256},
    )
    own = {f"artifacts/{each}": sha256 for each, sha256 in package.files.items()}
    return _model(package, name, int(made.version), own | _around(f"models:/{name}/{made.version}"))


def _model(package: Package, name: str, number: int, files: dict[str, str]) -> dict[str, Any]:
    """`files` is SHA-256 by the path in the version's folder in MLflow."""
    return {
        "name": name,
        "version": number,
        "uri": f"models:/{name}/{number}",
        "files": files,
        "size": sum((package.folder / each).stat().st_size for each in package.files),
    }


def _logged(uri: str) -> dict[str, str]:
    """SHA-256 of every file of a version as MLflow has it."""
    with tempfile.TemporaryDirectory(prefix="veritrain-model-") as folder:
        root = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder))
        files = (path for path in root.rglob("*") if path.is_file())
        return {
            str(path.relative_to(root)): sha256_of(path) for path in files if path.name != ADDED_BY_MLFLOW
        }


def _around(uri: str) -> dict[str, str]:
    """SHA-256 of the files that MLflow wrote around ours: what is loaded, and by which code."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="veritrain-model-") as folder:
        for file in mlflow.artifacts.list_artifacts(uri):
            if not file.is_dir:
                path = mlflow.artifacts.download_artifacts(f"{uri}/{file.path}", dst_path=folder)
                found[file.path] = sha256_of(Path(path))
    return found


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
