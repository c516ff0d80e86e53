"""Stored. The cheap checks of images that just came in: thresholds, and the look-alikes they have already."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from core import looks, themes
from core.db.engine import bulk_insert, fetch_column, relation
from core.db.tables import image_clusters, image_findings, train_data
from core.db.tables import themes as theme_rows
from core.quality import groups, twins
from core.quality.kinds import MEASURED
from core.quality.rules import Rules
from core.workbench import Workbench

TRIES = 5
"""Uploads of one theme at the same time each compare their part; one that was slower looks again."""
FEW = 5_000
"""New images up to which they are compared one by one with all that are there; more go through an index."""
PART = 100_000
"""Ids that one statement is given."""
REMEMBERED = 8
"""Themes whose hashes a process keeps, 16 bytes an image, so that an upload reads only what came since."""
# DuckDB turns ON CONFLICT into a join with the whole table and Postgres needs none here: writers take turns by theme.
_NEW = "NOT EXISTS (SELECT 1 FROM image_findings o WHERE o.image_id = t.id AND o.kind = '{kind}')"
_hashes_of: OrderedDict[tuple[str, int], tuple[np.ndarray, np.ndarray]] = OrderedDict()
_remembering = threading.Lock()


def rules_of(connection: sa.Connection, theme_id: int) -> Rules:
    """The theme's rules; the defaults where it has none."""
    saved = connection.execute(
        sa.select(theme_rows.c.quality).where(theme_rows.c.id == theme_id)
    ).scalar_one_or_none()
    return Rules.model_validate(saved or {})


def take_in(connection: sa.Connection, theme_id: int, ids: Sequence[int]) -> None:
    """Note what the measures and names of new images say. Part of the transaction that adds them; `catch_up` follows."""
    if not ids:
        return
    rules = rules_of(connection, theme_id)
    if rules.group_pattern:
        groups.write(connection, groups.read(connection, theme_id, rules.group_pattern, ids=ids))
    apply_thresholds(connection, theme_id, rules, ids)


def apply_thresholds(
    connection: sa.Connection, theme_id: int, rules: Rules, ids: Sequence[int] | None = None
) -> None:
    """Find anew what the measures say of these images, or of all; what a person called fine stays so."""
    values = {"theme": theme_id, "now": datetime.now(UTC)}
    parts: list[Sequence[int] | None] = [None]
    if ids is not None:
        parts = [ids[start : start + PART] for start in range(0, len(ids), PART)]
    for part in parts:
        only = "" if part is None else " AND t.id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
        bound = values if part is None else {**values, "ids": list(part)}
        if part is None:
            connection.execute(_FORGET, {"theme": theme_id, "kinds": [kind.name for kind in MEASURED]})
        for kind in MEASURED:
            assert kind.threshold is not None
            threshold = kind.threshold
            value = {
                "side": "least(t.width, t.height)",
                "aspect": "CAST(greatest(t.width, t.height) AS DOUBLE PRECISION) / least(t.width, t.height)",
            }.get(threshold.measure, f"f.{threshold.measure}")
            compare = ">" if threshold.above else "<"
            # A single colour is blank and nothing else.
            shows = "" if threshold.measure in ("contrast", "side", "aspect") else " AND f.contrast >= :blank"
            score = f"-({value})" if threshold.above else value
            connection.execute(
                sa.text(
                    'INSERT INTO image_findings (image_id, kind, theme_id, score, "at")'
                    f" SELECT t.id, '{kind.name}', t.theme_id, {score}, CAST(:now AS TIMESTAMPTZ)"
                    " FROM train_data t JOIN image_features f ON f.image_id = t.id"
                    f" WHERE t.theme_id = :theme AND t.deleted_at IS NULL AND {value} {compare} :limit{shows}{only}"
                    f" AND {_NEW.format(kind=kind.name)}"
                ),
                {**bound, "limit": getattr(rules, threshold.rule)}
                | ({"blank": rules.blank_below} if shows else {}),
            )


def apply_grey(connection: sa.Connection, theme_id: int, rules: Rules) -> None:
    """Grey images among colour; a matter of the whole theme, so it is not asked at each upload."""
    connection.execute(_FORGET, {"theme": theme_id, "kinds": ["grey"]})
    bound = {"theme": theme_id, "limit": rules.grey_below}
    coloured = connection.execute(_COLOURED, bound).scalar()
    if coloured is None or not rules.grey_most <= coloured < 1:
        return
    connection.execute(_GREY, {**bound, "blank": rules.blank_below, "now": datetime.now(UTC)})


def leave_out(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Note as a finding that these images got no split though they have a label; dealing them ends it."""
    if ids:
        connection.execute(_LEFT_OUT, {"ids": list(ids), "now": datetime.now(UTC)})


def contradict(connection: sa.Connection, theme_id: int, copies: Sequence[tuple[int, int, int]]) -> None:
    """Note of images (id, their label, another) that a copy came with the other label.

    Once: between these two labels nobody is asked again, and a label that somebody called right stays so.
    """
    found = image_findings.c
    new = {image_id: (own, other) for image_id, own, other in copies}
    query = sa.select(found.image_id, found.label_id, found.guess_id, found.kept_at).where(
        found.image_id.in_(new), found.kind == "contradicted"
    )
    stale = []
    for row in connection.execute(query).all() if new else []:
        own, _other = new[row.image_id]
        if set(new[row.image_id]) == {row.label_id, row.guess_id} or (row.kept_at and own == row.label_id):
            del new[row.image_id]
        else:
            stale.append(row.image_id)
    if stale:
        connection.execute(
            image_findings.delete().where(found.kind == "contradicted", found.image_id.in_(stale))
        )
    now = datetime.now(UTC)
    bulk_insert(
        connection,
        image_findings,
        [
            {
                "image_id": image_id,
                "kind": "contradicted",
                "theme_id": theme_id,
                "label_id": own,
                "guess_id": other,
                "at": now,
            }
            for image_id, (own, other) in new.items()
        ],
    )


def catch_up(wb: Workbench, theme_id: int) -> None:
    """Compare the theme's images that came since the last time with all, and cluster those that look alike.

    The search runs outside the transaction, so nobody's label waits for it. Cheap where nothing came.
    """
    for _ in range(TRIES):
        with wb.db.read() as connection:
            until = _until(connection, theme_id)
            known, fresh = _hashes(connection, theme_id, until)
            last = max([until, *fresh[0][-1:].tolist()])
            if last == until:
                return
            rules = rules_of(connection, theme_id)
            pairs = alike(connection, _candidates(known, fresh, rules.twin_radius), rules.twin_likeness)

        def work(
            connection: sa.Connection, until: int = until, last: int = last, pairs: np.ndarray = pairs
        ) -> bool:
            themes.lock(connection, theme_id)
            if _until(connection, theme_id) != until:
                return False  # another upload did this part meanwhile
            _join(connection, theme_id, pairs)
            connection.execute(
                theme_rows.update().where(theme_rows.c.id == theme_id).values(compared_until=last)
            )
            return True

        if wb.db.write(work):
            return


def join_near(wb: Workbench, theme_id: int, pairs: np.ndarray) -> None:
    """Cluster those of the pairs of ids (n × 2) that are the same picture beyond doubt, though their hashes differ.

    They may differ by half as much as other twins, and by FARTHEST bits.
    """
    with wb.db.read() as connection:
        _none, (ids, hashes) = _hashes(connection, theme_id, 0)
        pairs = pairs[np.isin(pairs, ids).all(axis=1)]
        one, two = (hashes[np.searchsorted(ids, side)] for side in pairs.T)
        pairs = pairs[np.bitwise_count(one ^ two) <= FARTHEST]
        pairs = alike(connection, pairs, (1 + rules_of(connection, theme_id).twin_likeness) / 2)
    if not len(pairs):
        return

    def work(connection: sa.Connection) -> None:
        themes.lock(connection, theme_id)
        _join(connection, theme_id, pairs)

    wb.db.write(work)


def forget(connection: sa.Connection, theme_id: int, since: int = 0) -> None:
    """Have images from `since` on (an id) compared anew by the next `catch_up`; 0: all, and no cluster stays."""
    if not since:
        connection.execute(image_clusters.delete().where(image_clusters.c.theme_id == theme_id))
    until = sa.func.least(sa.func.coalesce(theme_rows.c.compared_until, 0), max(0, since - 1))
    connection.execute(theme_rows.update().where(theme_rows.c.id == theme_id).values(compared_until=until))


def _until(connection: sa.Connection, theme_id: int) -> int:
    query = sa.select(theme_rows.c.compared_until).where(theme_rows.c.id == theme_id)
    return int(connection.execute(query).scalar_one_or_none() or 0)


FARTHEST = 20
"""Bits of 64; hashes of pictures that have nothing in common differ in some 32."""
Hashes = tuple[np.ndarray, np.ndarray]
"""Ids of live images (int64, ascending) and their perceptual hashes (uint64)."""


def _candidates(known: Hashes, fresh: Hashes, radius: int) -> np.ndarray:
    """Pairs of ids, n × 2: of new images with all, by hash alone."""
    everyone = np.concatenate([known[0], fresh[0]])
    hashes = np.concatenate([known[1], fresh[1]])
    if len(fresh[0]) > FEW:
        pairs = twins.within(hashes, radius)
        return everyone[pairs[(pairs >= len(known[0])).any(axis=1)]]
    pairs = twins.between(fresh[1], hashes, radius)
    pairs[:, 0] += len(known[0])
    return everyone[pairs[pairs[:, 0] != pairs[:, 1]]]


def _join(connection: sa.Connection, theme_id: int, pairs: np.ndarray) -> None:
    if not len(pairs):
        return
    known = _clusters(connection, np.unique(pairs).tolist())
    sets = twins.Clusters()
    for image_id, cluster_id in known.items():
        sets.join(image_id, cluster_id)
    for one, two in pairs.tolist():
        sets.join(one, two)
    # A new image may join clusters that were apart: all their members follow.
    moved = [
        {"cluster_id": old, "image_id": sets.find(old)}
        for old in set(known.values())
        if sets.find(old) != old
    ]
    if moved:
        with relation(connection, image_clusters, moved) as (source, given):
            connection.execute(
                sa.text(
                    "UPDATE image_clusters SET cluster_id = m.image_id"
                    f" FROM (SELECT cluster_id AS old, image_id FROM {source}) AS m"
                    " WHERE image_clusters.theme_id = :theme AND image_clusters.cluster_id = m.old"
                ),
                {**given, "theme": theme_id},
            )
    rows = [
        {"image_id": image_id, "theme_id": theme_id, "cluster_id": sets.find(image_id)}
        for image_id in np.unique(pairs).tolist()
        if image_id not in known
    ]
    bulk_insert(connection, image_clusters, rows)


def alike(connection: sa.Connection, pairs: np.ndarray, likeness: float) -> np.ndarray:
    """Of pairs of ids (n × 2) those of live images whose shapes and colours agree too."""
    if not len(pairs):
        return pairs.reshape(0, 2)
    ids = np.unique(pairs)
    vectors = _looks(connection, ids)
    places = np.searchsorted(ids, pairs)
    agree = np.empty(len(pairs), dtype=bool)
    for start in range(0, len(pairs), PART):
        one, two = (vectors[places[start : start + PART, side]] for side in (0, 1))
        agree[start : start + PART] = looks.same(one, two, likeness)
    return pairs[agree]


def _hashes(connection: sa.Connection, theme_id: int, until: int) -> tuple[Hashes, Hashes]:
    """The theme's live images up to the id `until`, and those after it.

    What a process has read once it keeps; only what came and what was deleted since is asked for.
    """
    key = (str(connection.engine.url), theme_id)
    with _remembering:
        ids, hashes = _hashes_of.get(key, (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint64)))
    column = train_data.c
    newer = (
        sa.select(column.id, column.phash)
        .where(
            column.theme_id == theme_id,
            column.id > (int(ids[-1]) if len(ids) else 0),
            column.deleted_at.is_(None),
        )
        .order_by(column.id)
    )
    rows = connection.execute(newer).all()
    gone = fetch_column(
        connection, sa.select(column.id).where(column.theme_id == theme_id, column.deleted_at.is_not(None))
    )
    stays = ~np.isin(ids, gone)
    ids = np.concatenate([ids[stays], np.array([row[0] for row in rows], dtype=np.int64)])
    hashes = np.concatenate([hashes[stays], twins.bits(row[1] for row in rows)])
    with _remembering:
        _hashes_of[key] = (ids, hashes)
        _hashes_of.move_to_end(key)
        while len(_hashes_of) > REMEMBERED:
            _hashes_of.popitem(last=False)
    place = int(np.searchsorted(ids, until, side="right"))
    return (ids[:place], hashes[:place]), (ids[place:], hashes[place:])


def _looks(connection: sa.Connection, ids: np.ndarray) -> np.ndarray:
    """Unit vectors, float32, in the order of ids; zeros where an image has none."""
    found: dict[int, bytes] = {}
    for start in range(0, len(ids), PART):
        rows = connection.execute(_LOOKS, {"ids": ids[start : start + PART].tolist()})
        found |= {image_id: look for image_id, look in rows}
    matrix = np.zeros((len(ids), looks.SIZE), dtype=np.float32)
    for place, image_id in enumerate(ids.tolist()):
        if (look := found.get(image_id)) is not None:
            matrix[place] = np.frombuffer(look, dtype=np.int8)
    return looks.units(matrix)


def _clusters(connection: sa.Connection, ids: Sequence[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for start in range(0, len(ids), PART):
        rows: Any = connection.execute(_KNOWN, {"ids": list(ids[start : start + PART])})
        found |= {image_id: cluster_id for image_id, cluster_id in rows}
    return found


_FORGET = sa.text(
    "DELETE FROM image_findings WHERE theme_id = :theme AND kept_at IS NULL"
    " AND kind IN (SELECT unnest(CAST(:kinds AS VARCHAR[])))"
)
_COLOURED = sa.text(
    "SELECT avg(CASE WHEN f.colour >= :limit THEN 1.0 ELSE 0.0 END) FROM train_data t"
    " JOIN image_features f ON f.image_id = t.id"
    " WHERE t.theme_id = :theme AND t.deleted_at IS NULL AND f.colour IS NOT NULL"
)
_GREY = sa.text(
    'INSERT INTO image_findings (image_id, kind, theme_id, score, "at")'
    " SELECT t.id, 'grey', t.theme_id, f.colour, CAST(:now AS TIMESTAMPTZ)"
    " FROM train_data t JOIN image_features f ON f.image_id = t.id"
    " WHERE t.theme_id = :theme AND t.deleted_at IS NULL AND f.colour < :limit AND f.contrast >= :blank"
    f" AND {_NEW.format(kind='grey')}"
)
_LEFT_OUT = sa.text(
    'INSERT INTO image_findings (image_id, kind, theme_id, "at")'
    " SELECT t.id, 'left_out', t.theme_id, CAST(:now AS TIMESTAMPTZ) FROM train_data t"
    " WHERE t.id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
    f" AND {_NEW.format(kind='left_out')}"
)
_LOOKS = sa.text(
    "SELECT f.image_id, f.look FROM image_features f JOIN train_data t ON t.id = f.image_id"
    " WHERE t.deleted_at IS NULL AND f.image_id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
)
_KNOWN = sa.text(
    "SELECT image_id, cluster_id FROM image_clusters"
    " WHERE image_id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
)
