"""Stored. Whether a model version still is what its hashes say: its decisions, its data, its files in MLflow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
import pyarrow as pa

from core import ledger, mlflow_files, registry, runs, snapshots
from core.errors import Conflict, Unavailable
from core.files import sha256
from core.ledger import Entry
from core.params.fields import N_
from core.registry import Version
from core.serving_protocol import ADDED_BY_MLFLOW
from core.workbench import Workbench

SOUND: Literal["sound"] = "sound"
BROKEN: Literal["broken"] = "broken"
UNKNOWN: Literal["unknown"] = "unknown"
LEDGER: Literal["ledger"] = "ledger"
SNAPSHOT: Literal["snapshot"] = "snapshot"
FILES: Literal["files"] = "files"
OWN = "artifacts/"
"""Where our files lie among those that MLflow keeps; what lies around them is for MLflow alone."""
MODEL = "MLmodel"
"""MLflow's own file that says what is loaded."""

_TEXTS = {
    (LEDGER, SOUND): N_("Every decision in the ledger is as it was written ({n} about this version)."),
    (LEDGER, BROKEN): N_(
        "The ledger was changed after it was written (entries: {entries}). Compare it with a backup and find out who "
        "had access to the database."
    ),
    ("head", BROKEN): N_(
        "The newest entry of the ledger as it was kept outside the database ({head}) is missing or is not in the ledger, "
        "so all of it may have been written anew. Restore both from a backup; if you know why, an administrator accepts "
        "the ledger as it is by POST /api/v1/admin/models/ledger/accept."
    ),
    (SNAPSHOT, SOUND): N_("The list of images that it learnt from is the one that was frozen ({hash})."),
    (SNAPSHOT, BROKEN): N_(
        "The list of images that it learnt from is not the one that was frozen: it is missing, or says something else. "
        "Restore {path} from a backup."
    ),
    (SNAPSHOT, UNKNOWN): N_("Nothing is known of what it learnt from, because it was trained elsewhere."),
    (FILES, SOUND): N_(
        "All {n} files of the model are, byte for byte, those that the training wrote ({hash})."
    ),
    (FILES, BROKEN): N_(
        "Files of the model are missing, were exchanged or were added after the training: {names}. Do not use this "
        "version; repeat its run."
    ),
    ("elsewhere", SOUND): N_(
        "All {n} files of the model are, byte for byte, those that were registered ({hash})."
    ),
    ("elsewhere", BROKEN): N_(
        "Files of the model are missing, were exchanged or were added after it was registered: {names}. Do not use this "
        "version; register another one."
    ),
    ("checksum", BROKEN): N_(
        "The hashes of the model's files are not those that the ledger kept when it was promoted. "
        "Do not use this version; repeat its run."
    ),
    (FILES, UNKNOWN): N_("Its files were not hashed when it was registered, so nothing can be said of them."),
    ("away", UNKNOWN): N_(
        "The files of the model could not be looked at, because MLflow at {url} does not answer or cannot read them. "
        "Look again once it does."
    ),
}


_SPECIAL = {"promised": "checksum", "head": "head", "url": "away", "elsewhere": "elsewhere"}
"""Fields that ask for a sentence of their own."""


@dataclass(frozen=True)
class Line:
    """One thing that was recomputed; `fields` fills its sentence."""

    code: Literal["ledger", "snapshot", "files"]
    state: Literal["sound", "broken", "unknown"]
    fields: dict[str, Any] = field(default_factory=dict)

    def text(self, translate: Callable[[str], str] = str) -> str:
        """One sentence for people, through `translate` (a gettext function) when one is given."""
        special = (name for field, name in _SPECIAL.items() if field in self.fields)
        code = next(special, self.code)
        return translate(_TEXTS[code, self.state]).format(**self.fields)


class Exchanged(Conflict):
    """A version's files are not those that its training wrote; `line` says which."""

    def __init__(self, line: Line) -> None:
        self.line = line
        super().__init__(N_("It was not promoted, and nobody can override this. {line}"))

    def text(self, translate: Callable[[str], str] = str) -> str:
        return translate(self.message).format(line=self.line.text(translate))


def require_files(wb: Workbench, version: Version) -> None:
    """Raises Exchanged where its files are not those that were hashed when it was registered. Reads all of them.

    Nothing is asked of one whose files were never hashed. Raises Unavailable where MLflow does not answer.
    """
    line = _files(wb, version, ledger.entries(wb, version_id=version.id))
    if line.state == BROKEN:
        raise Exchanged(line)
    if "url" in line.fields:
        sentence = _TEXTS["away", UNKNOWN]
        raise Unavailable(sentence, **line.fields)


def verify(wb: Workbench, version_id: int) -> list[Line]:
    """Recompute every hash that vouches for a version. Reads all of its files. Raises NotFound.

    Where MLflow is away only the files are unknown; the ledger and the list of images are told all the same.
    """
    version = registry.get(wb, version_id)
    decisions = ledger.entries(wb, version_id=version_id)
    return [_ledger(wb, len(decisions)), _snapshot(wb, version), _files(wb, version, decisions)]


def _ledger(wb: Workbench, decisions: int) -> Line:
    problems = ledger.verify(wb)
    if problems and all(each.kind == "head" for each in problems):
        return Line(LEDGER, BROKEN, {"head": ledger.HEAD})
    if problems:
        entries = sorted({each.entry_id for each in problems if each.entry_id is not None})
        return Line(LEDGER, BROKEN, {"entries": ", ".join(map(str, entries)) or "–"})
    return Line(LEDGER, SOUND, {"n": decisions})


def _snapshot(wb: Workbench, version: Version) -> Line:
    if version.run_id is None:
        return Line(SNAPSHOT, UNKNOWN)
    kept = runs.get(wb, version.run_id).spec.snapshot
    try:
        same = snapshots.says(wb, kept.path) == version.snapshot_hash
    except (OSError, KeyError, pa.ArrowException):
        same = False
    if not same:
        return Line(SNAPSHOT, BROKEN, {"path": kept.path})
    return Line(SNAPSHOT, SOUND, {"hash": str(version.snapshot_hash)[:12]})


def _files(wb: Workbench, version: Version, decisions: Sequence[Entry]) -> Line:
    if version.files is None:
        return Line(FILES, UNKNOWN)
    promised = {entry.evidence.get("version", {}).get("checksum") for entry in decisions} - {None}
    if promised - {version.checksum}:
        return Line(FILES, BROKEN, {"promised": sorted(promised)})
    try:
        wrong = {name for name, sha256 in version.files.items() if _sha256(wb, version, name) != sha256}
        wrong |= _added(wb, version, version.files)
    except (httpx.HTTPError, OSError):
        return Line(FILES, UNKNOWN, {"url": wb.settings.mlflow_url})
    elsewhere = {"elsewhere": True} if version.run_id is None else {}
    if wrong:
        return Line(FILES, BROKEN, {"names": ", ".join(sorted(wrong))} | elsewhere)
    return Line(FILES, SOUND, {"n": len(version.files), "hash": (version.checksum or "")[:12]} | elsewhere)


def _added(wb: Workbench, version: Version, files: Collection[str]) -> set[str]:
    """Names of files that lie in the version's folder and were not there when it was registered.

    Of older versions only our own files were hashed; then what lies around them is not looked at.
    """
    try:
        there = list(mlflow_files.names(wb.settings.mlflow_url, place(wb, version)))
    except FileNotFoundError:
        return set()
    ours = (name for name in there if name not in files and name != ADDED_BY_MLFLOW)
    return {name for name in ours if MODEL in files or name.startswith(OWN)}


def _sha256(wb: Workbench, version: Version, name: str) -> str | None:
    """Hash of one of the model's files as MLflow hands it out; None where there is none."""
    try:
        return sha256(read(wb, version, name))
    except FileNotFoundError:
        return None


def read(wb: Workbench, version: Version, name: str) -> Iterator[bytes]:
    """A file of the model in pieces, from where MLflow keeps it. Raises FileNotFoundError, httpx.HTTPError."""
    return mlflow_files.read(wb.settings.mlflow_url, place(wb, version), name)


def place(wb: Workbench, version: Version, timeout: httpx.Timeout = mlflow_files.TIMEOUT) -> str:
    """Where MLflow keeps the version's files. Raises FileNotFoundError where MLflow has no such version, HTTPError."""
    return mlflow_files.place(wb.settings.mlflow_url, version.model_name, version.version, timeout)
