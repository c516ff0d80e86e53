"""Stored. Turning pictures upright: a new image takes the place of the one that lay wrong, which stays as a tombstone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from PIL import Image, ImageOps

from core import audit, auth, images_io, themes
from core.db.engine import bulk_insert, next_ids
from core.db.tables import image_features, image_findings, label_history, train_data
from core.errors import InvalidInput, NotFound
from core.files import content_key
from core.images import DELETE
from core.images_io import ImageInfo
from core.quality import conditions, findings, intake
from core.uploads import thumbnail_key
from core.workbench import Workbench

MOST = 200
"""Pictures turned at once."""
QUALITY = 95
"""Of JPEG and WebP; the other formats lose nothing."""
_TURNS = {1: Image.Transpose.ROTATE_270, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_90}
"""Pillow counts counter-clockwise."""


@dataclass(frozen=True)
class _Made:
    old: int
    path: str
    info: ImageInfo


def turns(wb: Workbench, theme_id: int, ids: Sequence[int]) -> dict[int, int]:
    """Quarter turns clockwise that set images upright, of those with an open finding, by image id."""
    with wb.db.read() as connection:
        return _turns(connection, theme_id, ids)


def turn(wb: Workbench, actor: auth.User, theme_id: int, ids: Sequence[int]) -> dict[int, int]:
    """Set pictures with the finding “turned” upright; returns the new image's id by the old one's.

    Label, split, group and name go over. The old image stays where a training used it, as every deleted one.
    Raises InvalidInput for more than MOST or a file that cannot be read, NotFound, NotAllowed.
    """
    auth.require(actor, auth.LABELER)
    theme = themes.get(wb, theme_id)
    wanted = sorted(set(ids))
    if len(wanted) > MOST:
        raise InvalidInput(
            "{n} pictures at once are too many; turn at most {limit}.", n=len(wanted), limit=MOST
        )
    paths = sa.select(train_data.c.id, train_data.c.image_path, train_data.c.file_name)
    with wb.db.read() as connection:
        quarters = _turns(connection, theme_id, wanted)
        rows = connection.execute(paths.where(train_data.c.id.in_(list(quarters)))).all()
    made = [_made(wb, row.id, row.image_path, row.file_name, quarters[row.id]) for row in rows]

    def work(connection: sa.Connection) -> dict[int, int]:
        themes.lock(connection, theme_id)
        still = _turns(connection, theme_id, wanted)
        done = {}
        for each in made:
            if each.old in still:
                done[each.old] = _replace(connection, actor, theme_id, each)
        if done:
            connection.execute(DELETE, {"ids": list(done), "now": datetime.now(UTC)})
            intake.take_in(connection, theme_id, list(done.values()))
            findings.note(connection, theme, actor.id, "fix", {"kind": "turned", "images": len(done)})
            detail = {"turned": [[old, new, still[old]] for old, new in done.items()]}
            audit.record(connection, actor, "image.turn", f"theme {theme_id}", detail)
        return done

    done = wb.db.write(work) if made else {}
    intake.catch_up(wb, theme_id)
    return done


def _turns(connection: sa.Connection, theme_id: int, ids: Sequence[int]) -> dict[int, int]:
    found = image_findings.c
    query = (
        sa.select(found.image_id, found.turn)
        .join(train_data, train_data.c.id == found.image_id)
        .where(
            conditions.live(theme_id),
            found.kind == "turned",
            found.kept_at.is_(None),
            found.image_id.in_(sa.text("SELECT unnest(CAST(:ids AS BIGINT[]))")),
        )
    )
    return {image_id: quarters for image_id, quarters in connection.execute(query, {"ids": list(ids)})}


def _made(wb: Workbench, image_id: int, path: str, name: str, quarters: int) -> _Made:
    """The turned picture in the file store, in the format it had. Raises InvalidInput."""
    limits = images_io.Limits.of(wb.settings)
    try:
        data = wb.files.read(path)
    except OSError:
        raise NotFound("The file of “{name}” is gone; upload it again.", name=name) from None
    image = images_io.opened(data, limits, name)
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    images_io.check(data, limits, name)
    upright = ImageOps.exif_transpose(image).transpose(_TURNS[quarters])
    out = io.BytesIO()
    options = {"quality": QUALITY} if kind in ("JPEG", "WEBP") else {}
    upright.save(out, kind, **options)
    info = images_io.inspect(out.getvalue(), limits, name)
    key = content_key(info.sha256, "images", info.extension)
    wb.files.write(key, out.getvalue())
    for side, thumbnail in info.thumbnails.items():
        wb.files.write(thumbnail_key(info.sha256, side), thumbnail)
    return _Made(image_id, key, info)


def _replace(connection: sa.Connection, actor: auth.User, theme_id: int, made: _Made) -> int:
    """A row like the old image's for the turned picture; its id."""
    old = dict(connection.execute(sa.select(train_data).where(train_data.c.id == made.old)).mappings().one())
    [new] = next_ids(connection, "train_data_id_seq", 1)
    now = datetime.now(UTC)
    info = made.info
    of_file = {
        "image_path": made.path, "sha256": info.sha256, "phash": info.phash, "format": info.format,
        "width": info.width, "height": info.height, "size": info.size,
    }  # fmt: skip
    guesses = {
        name: None for name in old if name.startswith("suggested_") or name in ("teach_rank", "sweep_rank")
    }
    of_now = {"id": new, "uploaded_by": actor.id, "created_at": now, "updated_at": now}
    bulk_insert(connection, train_data, [{**old, **of_file, **guesses, **of_now}])
    bulk_insert(
        connection,
        image_features,
        [{"image_id": new, "theme_id": theme_id, "look": info.look, **info.measures.as_row()}],
    )
    if old["label_id"] is not None:
        entry = {
            "theme_id": theme_id, "image_id": new, "at": now, "user_id": old["labeled_by"] or actor.id,
            "from_label_id": None, "to_label_id": old["label_id"], "source": "upload",
        }  # fmt: skip
        bulk_insert(connection, label_history, [entry])
    return new
