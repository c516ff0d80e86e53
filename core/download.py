"""Stored. A model version as one zip that predicts without Veritrain, streamed from where MLflow keeps it.

Of one that was trained elsewhere it holds the files as MLflow has them, and their hashes.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import sqlalchemy as sa

from core import audit, auth, params, proof, registry, runs
from core.errors import Conflict, Unavailable
from core.i18n import gettext as _
from core.params import OptunaParams
from core.registry import Version
from core.runs import Run
from core.settings import ROOT
from core.transfer.archive_stream import Zip
from core.tuning import tunings
from core.workbench import Workbench

log = logging.getLogger(__name__)

CONFIG, ONNX = "config.json", "model.onnx"
PREDICT = ROOT / "jobs" / "vision" / "predict.py"
"""Text that goes along; nothing of it runs here."""
SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Download:
    name: str
    """Of the zip and of the folder in it, without an ending."""
    chunks: Iterator[bytes]


def stream(wb: Workbench, actor: auth.User, version_id: int) -> Download:
    """The zip, read and sent bit by bit; every file's hash is compared on its way.

    A file that is not the one which the training wrote breaks the stream off, so no whole zip has it. Raises NotFound,
    NotAllowed, Conflict where the files are not known or were exchanged, Unavailable where MLflow does not answer.
    """
    auth.require(actor, auth.TRAINER)
    version = registry.get(wb, version_id)
    if version.files is None:
        raise Conflict(
            "The files of version {n} were not hashed when it was registered, so it cannot be downloaded. "
            "Repeat its run.",
            n=version.version,
        )
    below = "" if version.run_id is None else proof.OWN
    own = {
        name.removeprefix(below): sha for name, sha in sorted(version.files.items()) if name.startswith(below)
    }
    if version.run_id is None:
        _read(wb, version, proof.MODEL, own.get(proof.MODEL, ""))
        texts = {}
    else:
        texts = _texts(wb, version, runs.get(wb, version.run_id), own)
    name = f"{version.model_name}-{version.version}"
    wb.db.write(lambda connection: _note(connection, actor, version))
    return Download(name, _chunks(wb, version, name, below, own, texts))


def _texts(wb: Workbench, version: Version, run: Run, own: Mapping[str, str]) -> dict[str, str]:
    """What goes along with the files of a version that was trained here."""
    config = _config(wb, version, own)
    return {
        "README.md": _readme(version, config, own),
        "labels.txt": "".join(f"{label}\n" for label in config["labels"]),
        "optuna_params.yaml": params.to_yaml(_search(wb, run)),
        "predict.py": PREDICT.read_text(encoding="utf-8"),
    }


def _note(connection: sa.Connection, actor: auth.User, version: Version) -> None:
    audit.record(connection, actor, "registry.download", f"version {version.id}", {"uri": version.uri})


def _chunks(
    wb: Workbench, version: Version, folder: str, below: str, own: Mapping[str, str], texts: Mapping[str, str]
) -> Iterator[bytes]:
    archive = Zip()
    sums = dict(own)
    for name, text in texts.items():
        data = text.encode()
        sums[name] = hashlib.sha256(data).hexdigest()
        yield from archive.add(f"{folder}/{name}", data, len(data))
    for name, sha256 in own.items():
        yield from archive.pour(f"{folder}/{name}", _checked(wb, version, f"{below}{name}", sha256))
    listed = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(sums.items())).encode()
    yield from archive.add(f"{folder}/{SUMS}", listed, len(listed))
    yield from archive.end()


def _checked(wb: Workbench, version: Version, name: str, sha256: str) -> Iterator[bytes]:
    """The pieces of a file. Raises Conflict at its end where it is another one."""
    whole = hashlib.sha256()
    for piece in proof.read(wb, version, name):
        whole.update(piece)
        yield piece
    if whole.hexdigest() != sha256:
        log.error("%s of %s is not the file that the training wrote", name, version.uri)
        raise _exchanged(name.removeprefix(proof.OWN))


def _exchanged(name: str) -> Conflict:
    return Conflict(
        "“{name}” is missing or was exchanged after the training. Do not use this version; repeat its run.",
        name=name,
    )


def _config(wb: Workbench, version: Version, own: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_read(wb, version, f"{proof.OWN}{CONFIG}", own.get(CONFIG, "")))
    return found


def _read(wb: Workbench, version: Version, name: str, sha256: str) -> bytes:
    """One of the files before anything is sent, so that a refusal can still be one."""
    try:
        return b"".join(_checked(wb, version, name, sha256))
    except FileNotFoundError as error:
        raise _exchanged(name.removeprefix(proof.OWN)) from error
    except httpx.HTTPError as error:
        raise Unavailable("MLflow at {url} does not answer.", url=wb.settings.mlflow_url) from error


def _search(wb: Workbench, run: Run) -> OptunaParams:
    """The search that found the version's parameters, else the theme's as it was when the training began."""
    if run.spec.trial is not None:
        return params.check(tunings.get(wb, run.spec.trial.tuning).spec.search, OptunaParams)
    before: str | None = None
    while page := params.history(wb.settings, run.theme_id, before=before):
        for each in page:
            if each.at <= run.created_at:
                return params.files_at(wb.settings, run.theme_id, each.id).model(OptunaParams)
        before = page[-1].id
    return params.load_search()


def _readme(version: Version, config: Mapping[str, Any], own: Mapping[str, str]) -> str:
    """What is in the zip and how it is run, in the language of whom it is for."""
    side = config["image_size"]
    onnx = (
        _(
            "`model.onnx` takes `pixels`, uint8 of (n, {side}, {side}, 3), as `prepare` of imaging.py gives them, and "
            "answers with `probabilities` of (n, {labels}); its answers were compared with the network's."
        ).format(side=side, labels=len(config["labels"]))
        if ONNX in own
        else _(
            "There is no `model.onnx`: this version was made before such files were, or its network could not be "
            "written as one; the log of run {run} says which."
        ).format(run=version.run_id)
    )
    files = {
        "predict.py": _("predicts"),
        "weights.safetensors": _("the weights"),
        "config.json": _("labels in the order of the answers, sizes, preprocessing"),
        "imaging.py, step_*.py": _("from an image file to what the network sees"),
        "architecture.py": _("the network"),
        "params.yaml, auguments.yaml, optuna_params.yaml": _("how it was trained and searched for"),
        "snapshot.json, code.json": _("the images and the code that it came from, by hash"),
        "labels.txt": _("the labels"),
    }
    listed = "".join(f"- `{name}`: {text}\n" for name, text in files.items())
    title = _("{theme}, version {n}").format(theme=version.theme_name, n=version.version)
    return (
        f"# {title}\n\n"
        '```python\nfrom predict import Model\nmodel = Model(".")\nprint(model("cat.jpg"))\n```\n\n'
        + _("Needs: {with_torch}; or, where there is a model.onnx: {with_onnx}.").format(
            with_torch="`pip install numpy pillow safetensors torch torchvision`",
            with_onnx="`pip install numpy pillow onnxruntime`",
        )
        + f"\n\n{onnx}\n\n{listed}\n"
        + _("`sha256sum -c SHA256SUMS` says whether every file is as it was sent.")
        + "\n"
    )
