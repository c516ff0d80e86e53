"""A theme of many images for benchmarks: rows made by the database, without files."""

from __future__ import annotations

import sqlalchemy as sa

from core import auth, themes
from core.db.tables import train_data
from core.workbench import Workbench

LABELS = 10


def fill(wb: Workbench, admin: auth.User, count: int, name: str = "Many") -> tuple[themes.Theme, list[int]]:
    """The theme and its image ids: half labelled, 3/4 of those dealt, a suggestion for each (DuckDB only)."""
    theme = themes.create(wb, admin, name=name, labels=[f"label {n}" for n in range(LABELS)])
    first = theme.labels[0].id

    def work(connection: sa.Connection) -> None:
        connection.execute(_FILL, {"theme": theme.id, "count": count, "first": first, "user": admin.id})

    wb.db.write(work)
    with wb.db.read() as connection:
        ids = connection.execute(
            sa.select(train_data.c.id).where(train_data.c.theme_id == theme.id)
        ).scalars()
        return theme, list(ids)


_FILL = sa.text(
    "INSERT INTO train_data (id, theme_id, image_path, file_name, sha256, phash, format, width, height, size,"
    " label_id, split, labeled_by, labeled_at, uploaded_by, created_at, updated_at, suggested_label_id,"
    " suggested_confidence, suggested_margin, teach_rank, sweep_rank)"
    " SELECT nextval('train_data_id_seq'), :theme, 'images/' || h[1:2] || '/' || h || '.jpg',"
    " 'batch ' || (n // 1000) || '/' || h[1:12] || '.jpg', h, h[1:16], 'JPEG', 640, 480, 50000,"
    " CASE WHEN n % 2 = 0 THEN :first + CAST(hash(n) % 10 AS BIGINT) END,"
    " CASE WHEN n % 8 IN (0, 2, 4) THEN ['train', 'valid', 'test'][CAST(1 + hash(n + 1) % 3 AS BIGINT)] END,"
    " CASE WHEN n % 2 = 0 THEN :user END, CASE WHEN n % 2 = 0 THEN now() END, :user,"
    " now() - to_seconds(:count - n), now(), :first + CAST(hash(n + 2) % 10 AS BIGINT),"
    " (hash(n + 3) % 10000) / 10000.0, (hash(n + 4) % 10000) / 10000.0, hash(n + 5) % 1000000, hash(n + 6) % 1000000"
    " FROM (SELECT n, sha256(n::VARCHAR || :theme) AS h FROM range(:count) AS numbers(n)) AS rows"
)
