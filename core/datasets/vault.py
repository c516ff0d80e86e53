"""Stored. What was masked in text datasets, sealed with a key that lies beside the database, not in it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import sqlalchemy as sa

from core import audit, auth
from core.datasets import decisions, store
from core.db.engine import relation
from core.db.text_tables import text_vault
from core.errors import NotFound
from core.quality.texts.masking import Masker, Vault, tokens
from core.texts.rowfile import DataRow
from core.workbench import Workbench


def masker(wb: Workbench) -> Masker:
    """With this installation's key, which only the account that runs it can read; made on first use."""
    path = key_path(wb)
    try:
        return Masker(path.read_text().strip())
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)  # readable for its owner alone
    with os.fdopen(handle, "w") as file:
        file.write(Masker.new_key())
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):  # another thread was faster
        os.link(temporary, path)
    os.unlink(temporary)
    return Masker(path.read_text().strip())


def key_path(wb: Workbench) -> Path:
    return wb.settings.data_dir / "secrets" / "masking.key"


def put(wb: Workbench, dataset_id: int, vault: Vault) -> None:
    """Keep sealed values; the same value has the same token and seal, so what is there stays.

    Raises NotFound where the dataset is gone.
    """
    rows = [{"dataset_id": dataset_id, "token": token, "sealed": seal} for token, seal in vault.items()]
    if not rows:
        return

    def work(connection: sa.Connection) -> None:
        decisions.lock(connection, dataset_id)
        with relation(connection, text_vault, rows) as (source, given):
            connection.execute(
                sa.text(
                    "INSERT INTO text_vault (dataset_id, token, sealed)"
                    f" SELECT dataset_id, token, sealed FROM (SELECT * FROM {source}) AS s WHERE NOT EXISTS"
                    " (SELECT 1 FROM text_vault o WHERE o.dataset_id = s.dataset_id AND o.token = s.token)"
                ),
                given,
            )

    wb.db.write(work)


def unmask(
    wb: Workbench, actor: auth.User, dataset_id: int, row_id: int, number: int | None = None
) -> DataRow:
    """A row of a version (None: the newest) as it was before it was masked; who looked is in the audit log.

    Raises NotFound, and NotAllowed for all but administrators, or where the key is another one.
    """
    auth.require(actor, auth.ADMIN)
    version = store.version(wb, dataset_id, number)
    found = store.page(wb, version, ids=[row_id], limit=1).rows
    if not found:
        raise NotFound("There is no row {row} in version {number}.", row=row_id, number=version.number)
    names = tokens(found[0].record)

    def work(connection: sa.Connection) -> Vault:
        detail = {"row": row_id, "version": version.number, "tokens": names}
        audit.record(connection, actor, "dataset.unmask", f"dataset {dataset_id}", detail)
        column = text_vault.c
        query = sa.select(column.token, column.sealed).where(
            column.dataset_id == dataset_id, column.token.in_(names)
        )
        return {row.token: row.sealed for row in connection.execute(query)}

    sealed = wb.db.write(work)
    return found[0].with_record(masker(wb).unmask(found[0].record, sealed))
