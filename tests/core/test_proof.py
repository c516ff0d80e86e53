"""Every hash that vouches for a version is recomputed, and what was exchanged is named."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from core import auth, ledger, proof, registry, run_watch, runs, stages
from core.db.tables import finetuning_jobs, registry_ledger
from core.workbench import Workbench
from tests.core.ab.rig import ready_theme
from tests.mlflow_files import Kept, keeping

FILES = {
    "MLmodel": b"flavors: {}\n",
    "artifacts/config.json": b'{"format": 2}\n',
    "artifacts/weights.safetensors": bytes(range(256)) * 9000,  # more than one piece
}


@pytest.fixture
def kept(wb: Workbench) -> Iterator[Kept]:
    with keeping(wb, FILES) as found:
        yield found


def version(wb: Workbench, actor: auth.User, files: dict[str, bytes] | None = FILES) -> int:
    theme = ready_theme(wb, actor, "Animals")
    run = runs.start(wb, actor, theme.id)
    [row] = run_watch.rows_where(wb, finetuning_jobs.c.id == run.id)
    name = f"veritrain-theme-{theme.id}"
    model: dict[str, Any] = {"name": name, "version": 1, "uri": f"models:/{name}/1"}
    if files is not None:
        model["files"] = {each: hashlib.sha256(data).hexdigest() for each, data in files.items()}
        model["size"] = sum(map(len, files.values()))
    result = {"metrics": {"test": {"accuracy": 0.5}}, "model": model}
    found: list[int | None] = []
    wb.db.write(lambda c: found.append(registry.record(c, wb.files, row, result)))
    assert found[0] is not None
    return found[0]


def states(wb: Workbench, version_id: int) -> dict[str, str]:
    return {line.code: line.state for line in proof.verify(wb, version_id)}


def test_an_untouched_version_is_sound_and_what_was_exchanged_is_named(
    trainer: auth.User, kept: Kept
) -> None:
    wb, files_there = kept
    one = version(wb, trainer)
    stages.promote(wb, trainer, one, "production", "first")
    assert states(wb, one) == {"ledger": "sound", "snapshot": "sound", "files": "sound"}
    assert registry.get(wb, one).size == sum(map(len, FILES.values()))

    files_there["artifacts/weights.safetensors"] = FILES["artifacts/weights.safetensors"][:-1] + b"x"
    del files_there["MLmodel"]
    [line] = [line for line in proof.verify(wb, one) if line.state == proof.BROKEN]
    assert "added after the training: MLmodel, artifacts/weights.safetensors" in line.text()
    files_there.update(FILES)
    files_there["artifacts/torch.py"] = b"import os"
    [line] = [line for line in proof.verify(wb, one) if line.state == proof.BROKEN]
    assert "added after the training: artifacts/torch.py. Do not use" in line.text()
    del files_there["artifacts/torch.py"]

    manifest = registry.get(wb, one).snapshot_hash
    path = f"snapshots/{manifest}.parquet"
    before = wb.files.read(path)
    wb.files.write(path, b"no parquet")
    [line] = [line for line in proof.verify(wb, one) if line.state == proof.BROKEN]
    assert line.code == "snapshot" and path in line.text()
    wb.files.write(path, before)

    change = registry_ledger.update().values(reason="second")
    wb.db.write(lambda connection: connection.execute(change) and None)
    [line] = [line for line in proof.verify(wb, one) if line.state == proof.BROKEN]
    [entry] = ledger.entries(wb)
    assert line.code == "ledger" and f"(entries: {entry.id})" in line.text()


def test_hashes_that_were_exchanged_with_the_files_are_found_by_the_ledger(
    trainer: auth.User, kept: Kept
) -> None:
    wb, files_there = kept
    one = version(wb, trainer)
    stages.promote(wb, trainer, one, "production", "first")
    files_there["MLmodel"] = b"flavors: {python_function: {}}\n"
    files = dict(registry.get(wb, one).files or {})
    files["MLmodel"] = hashlib.sha256(files_there["MLmodel"]).hexdigest()
    table = registry.model_registry
    wb.db.write(lambda c: c.execute(table.update().where(table.c.id == one).values(files=files)) and None)
    [line] = [line for line in proof.verify(wb, one) if line.state == proof.BROKEN]
    assert "not those that the ledger kept" in line.text()


def test_what_is_not_as_the_training_wrote_it_never_goes_into_production(
    trainer: auth.User, admin: auth.User, kept: Kept
) -> None:
    wb, files_there = kept
    one = version(wb, trainer)
    weights = files_there["artifacts/weights.safetensors"]
    files_there["artifacts/weights.safetensors"] = bytes([weights[0] ^ 1]) + weights[1:]
    with pytest.raises(
        proof.Exchanged, match=r"nobody can override this\. .*: artifacts/weights\.safetensors"
    ):
        stages.promote(wb, admin, one, "production", "please", override="I know better")
    assert ledger.entries(wb) == []
    files_there["artifacts/weights.safetensors"] = weights
    stages.promote(wb, trainer, one, "production", "as it was")


def test_of_files_that_were_never_hashed_nothing_is_said(wb: Workbench, trainer: auth.User) -> None:
    old = version(wb, trainer, files=None)
    assert states(wb, old)["files"] == "unknown"
    assert registry.get(wb, old).checksum is None


def test_while_mlflow_is_away_the_rest_is_told_all_the_same(wb: Workbench, trainer: auth.User) -> None:
    one = version(wb, trainer)
    assert states(wb, one) == {"ledger": "sound", "snapshot": "sound", "files": "unknown"}
    wb.files.write(f"snapshots/{registry.get(wb, one).snapshot_hash}.parquet", b"no parquet")
    _, snapshot, files = proof.verify(wb, one)
    assert snapshot.state == "broken"
    assert f"could not be looked at, because MLflow at {wb.settings.mlflow_url}" in files.text()
