"""Stored. Images of an import written to a theme, many at once, by statements over a staged table.

One path for images that were just decoded and for those known by their hash alone: what a
staged row does not say of the file is copied from a row of another theme.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from core import auth
from core.db.engine import bulk_insert
from core.labels import labels_of
from core.quality import intake as quality
from core.quality.measures import NAMES as MEASURES
from core.transfer.formats import Row
from core.uploads import Stored

_STAGE = sa.Table(
    "import_rows",
    sa.MetaData(),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("file_name", sa.Text),
    sa.Column("label_id", sa.BigInteger),
    sa.Column("split", sa.String(8)),
    sa.Column("group_name", sa.Text),
    sa.Column("image_path", sa.String(160)),
    sa.Column("phash", sa.String(16)),
    sa.Column("format", sa.String(8)),
    sa.Column("width", sa.Integer),
    sa.Column("height", sa.Integer),
    sa.Column("size", sa.BigInteger),
    sa.Column("origin_id", sa.BigInteger),
    sa.Column("image_id", sa.BigInteger),
    sa.Column("old_label", sa.BigInteger),
    sa.Column("fresh", sa.Boolean),
    sa.Column("look", sa.LargeBinary),
    *(sa.Column(name, sa.Double) for name in MEASURES),
    sa.Column("flag_note", sa.Text),
    prefixes=["TEMPORARY"],
)


@dataclass(frozen=True)
class Written:
    added: int
    known: int
    labelled: int
    """Added with a label, or known and given one."""
    lost: list[str]
    """Names of images known by hash that no theme has any more."""


def write(
    connection: sa.Connection,
    actor: auth.User,
    theme_id: int,
    import_id: int,
    batch: Sequence[tuple[Row, Stored | int | None]],
) -> Written:
    """Add the images that the theme lacks; give those it has the label, split and group they lack.

    With each row comes its file as it was stored, or the id of another theme's image with the
    same bytes, or nothing where the theme has it. Each hash comes once. The theme must be locked.
    """
    by_name = {label.name.casefold(): label.id for label in labels_of(connection, theme_id)}
    _STAGE.create(connection, checkfirst=False)
    bulk_insert(
        connection,
        _STAGE,
        [_staged(row, found, by_name) for row, found in batch],
    )
    given = {"theme": theme_id, "import": import_id, "user": actor.id, "now": datetime.now(UTC)}
    for statement in (_FIND, _COPY, _NUMBER, _INSERT, _FEATURES, _HISTORY, _COMPLETE):
        connection.execute(statement, given)
    added, known, labelled = connection.execute(_COUNT).one()
    quality.take_in(connection, theme_id, list(connection.execute(_FRESH).scalars()))
    lost = list(connection.execute(_LOST).scalars()) if added + known < len(batch) else []
    _STAGE.drop(connection, checkfirst=False)
    return Written(added, known, labelled, lost)


def _staged(row: Row, found: Stored | int | None, by_name: dict[str, int]) -> dict[str, object]:
    stored = found if isinstance(found, Stored) else None
    info = stored.info if stored else None
    return {
        "sha256": row.sha256,
        "file_name": row.name or None,
        "label_id": by_name.get(row.label.casefold()) if row.label else None,
        "split": row.split,
        "group_name": row.group,
        "image_path": stored.key if stored else None,
        "phash": info.phash if info else None,
        "format": info.format if info else None,
        "width": info.width if info else None,
        "height": info.height if info else None,
        "size": info.size if info else None,
        "origin_id": found if isinstance(found, int) else None,
        "fresh": False,
        "flag_note": row.flag,
        "look": info.look if info else None,
        **(info.measures.as_row() if info else dict.fromkeys(MEASURES)),
    }


_FIND = sa.text(
    "UPDATE import_rows SET image_id = t.id, old_label = t.label_id FROM train_data t"
    " WHERE t.theme_id = :theme AND t.deleted_at IS NULL AND t.sha256 = import_rows.sha256"
)
_COPY = sa.text(
    "UPDATE import_rows SET image_path = o.image_path, phash = o.phash, format = o.format, width = o.width,"
    " height = o.height, size = o.size, file_name = COALESCE(import_rows.file_name, o.file_name)"
    " FROM train_data o WHERE o.id = import_rows.origin_id AND o.deleted_at IS NULL"
    " AND import_rows.image_id IS NULL"
)
_NUMBER = sa.text(
    "UPDATE import_rows SET fresh = TRUE, image_id = nextval('train_data_id_seq')"
    " WHERE image_id IS NULL AND image_path IS NOT NULL"
)
_INSERT = sa.text(
    "INSERT INTO train_data (id, theme_id, image_path, file_name, sha256, phash, format, width, height, size,"
    " label_id, split, group_name, labeled_by, labeled_at, uploaded_by, created_at, updated_at, import_id,"
    " flag_note, flagged_by)"
    " SELECT image_id, CAST(:theme AS BIGINT), image_path, COALESCE(file_name, sha256), sha256, phash,"
    " format, width, height, size, label_id, split, group_name,"
    " CASE WHEN label_id IS NULL THEN NULL ELSE CAST(:user AS BIGINT) END,"
    " CASE WHEN label_id IS NULL THEN NULL ELSE CAST(:now AS TIMESTAMPTZ) END,"
    " CAST(:user AS BIGINT), CAST(:now AS TIMESTAMPTZ), CAST(:now AS TIMESTAMPTZ), CAST(:import AS BIGINT),"
    " flag_note, CASE WHEN flag_note IS NULL THEN NULL ELSE CAST(:user AS BIGINT) END"
    " FROM import_rows WHERE fresh"
)
_FEATURES = sa.text(
    f"INSERT INTO image_features (image_id, theme_id, look, {', '.join(MEASURES)})"
    " SELECT r.image_id, CAST(:theme AS BIGINT), COALESCE(r.look, o.look),"
    f" {', '.join(f'COALESCE(r.{name}, o.{name})' for name in MEASURES)}"
    " FROM import_rows r LEFT JOIN image_features o ON o.image_id = r.origin_id"
    " WHERE r.fresh AND COALESCE(r.look, o.look) IS NOT NULL"
)
_HISTORY = sa.text(
    'INSERT INTO label_history (theme_id, image_id, "at", user_id, to_label_id, source)'
    " SELECT CAST(:theme AS BIGINT), image_id, CAST(:now AS TIMESTAMPTZ), CAST(:user AS BIGINT), label_id,"
    " 'import' FROM import_rows WHERE image_id IS NOT NULL AND label_id IS NOT NULL AND old_label IS NULL"
)
# What an import says of a group counts more than what was read from a file name.
_NO_GROUP = "(train_data.group_name IS NULL OR train_data.group_by_name)"
_COMPLETE = sa.text(
    "UPDATE train_data SET label_id = COALESCE(train_data.label_id, r.label_id),"
    " split = COALESCE(train_data.split, r.split),"
    f" group_name = CASE WHEN {_NO_GROUP} THEN COALESCE(r.group_name, train_data.group_name)"
    " ELSE train_data.group_name END,"
    " group_by_name = train_data.group_by_name AND r.group_name IS NULL, updated_at = :now,"
    " labeled_by = CASE WHEN train_data.label_id IS NULL AND r.label_id IS NOT NULL"
    " THEN CAST(:user AS BIGINT) ELSE train_data.labeled_by END,"
    " labeled_at = CASE WHEN train_data.label_id IS NULL AND r.label_id IS NOT NULL"
    " THEN CAST(:now AS TIMESTAMPTZ) ELSE train_data.labeled_at END"
    " FROM import_rows r WHERE train_data.id = r.image_id AND NOT r.fresh AND ("
    "(train_data.label_id IS NULL AND r.label_id IS NOT NULL)"
    " OR (train_data.split IS NULL AND r.split IS NOT NULL)"
    f" OR ({_NO_GROUP} AND r.group_name IS NOT NULL))"
)
_COUNT = sa.text(
    "SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh AND image_id IS NOT NULL),"
    " count(*) FILTER (WHERE image_id IS NOT NULL AND label_id IS NOT NULL AND old_label IS NULL)"
    " FROM import_rows"
)
_FRESH = sa.text("SELECT image_id FROM import_rows WHERE fresh ORDER BY image_id")
_LOST = sa.text("SELECT COALESCE(file_name, sha256) FROM import_rows WHERE image_id IS NULL")
