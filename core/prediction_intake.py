"""Stored. Images on their way into a batch: files that a person sends, checked as any upload, or a theme's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow.parquet as pq
import sqlalchemy as sa

from core import auth, images_io, incoming, prediction_batches, themes
from core.archives import Limits, Member, Refusal
from core.db.batch_tables import prediction_batch_parts
from core.db.batch_tables import prediction_batches as table
from core.db.tables import train_data
from core.errors import Conflict, InvalidInput, NotFound
from core.files import content_key
from core.image_filter import Filter
from core.prediction_batches import OPEN
from core.prediction_files import PART, folder, given, packed
from core.uploads import LISTED
from core.workbench import Workbench

Row = tuple[str, str | None, str | None]
"""A row of core.prediction_files.GIVEN."""


@dataclass
class Taken:
    """What became of the files of one upload."""

    added: int = 0
    refused: list[Refusal] = field(default_factory=list)
    """The first LISTED of them; these are rows of the result, too."""
    refused_total: int = 0

    def refuse(self, refusal: Refusal) -> bool:
        """Whether it is one of the first LISTED."""
        self.refused_total += 1
        if listed := len(self.refused) < LISTED:
            self.refused.append(refusal)
        return listed


def add_files(
    wb: Workbench, actor: auth.User, batch_id: int, items: Iterable[tuple[str, incoming.Source]]
) -> Taken:
    """Add image files, and the image files inside archives, to a batch that was not started.

    `items` as in `core.uploads.add`. A file that is not accepted is refused by name and the rest go on; what was
    taken before a failure stays. Raises NotFound, NotAllowed, and Conflict where the batch was started.
    """
    batch = prediction_batches.changeable(wb, actor, batch_id)
    if batch.status != OPEN:
        raise _started(batch.name)
    limit = wb.settings.predict_batch_images
    room = limit - batch.images
    limits = images_io.Limits.of(wb.settings)
    taken = Taken()
    rows: list[Row] = []
    unnamed = 0

    def flush() -> None:
        nonlocal unnamed
        if rows or unnamed:
            _append(wb, batch_id, rows, unnamed)
        taken.added += sum(path is not None for _, path, _ in rows)
        rows.clear()
        unnamed = 0

    def look(member: Member) -> Row | Refusal:
        try:
            extension = images_io.check(member.data, limits, member.name)
        except InvalidInput as error:
            return Refusal(member.name, error)
        sha256 = hashlib.sha256(member.data).hexdigest()
        key = content_key(sha256, f"{folder(batch_id)}/images", extension)
        if wb.files.size(key) != len(member.data):
            wb.files.write(key, member.data)
        return member.name, key, None

    failure: list[Exception] = []

    def until_failure() -> Iterator[Member | Refusal]:
        # What came before a failure of the source (a broken connection, a full disk) is still added.
        try:
            yield from incoming.read(items, Limits.of(wb.settings))
        except Exception as error:
            failure.append(error)

    try:
        for outcome in incoming.looked_at(until_failure(), look):
            if not isinstance(outcome, Refusal) and not room:
                taken.refuse(Refusal(outcome[0], _too_many(outcome[0], limit)))
                break
            if not isinstance(outcome, Refusal):
                room -= 1
                rows.append(outcome)
            elif taken.refuse(outcome):
                rows.append((outcome.name, None, outcome.reason))
            else:
                unnamed += 1
            if len(rows) >= PART:
                flush()
        flush()
    except NotFound:  # deleted meanwhile, and what was written after that would lie there for ever
        prediction_batches.clear(wb, batch_id)
        raise
    if failure:
        raise failure[0]
    return taken


def add_images(wb: Workbench, actor: auth.User, batch_id: int, theme_id: int, which: Filter) -> int:
    """Add a theme's images that fit and that the batch does not have, oldest first; returns how many.

    Their files stay the theme's. Raises NotFound, NotAllowed, Conflict where the batch was started, InvalidInput
    where no such image is left or there are more than a batch may have.
    """
    batch = prediction_batches.changeable(wb, actor, batch_id)
    theme = themes.get(wb, theme_id)
    column = train_data.c
    query = sa.select(column.file_name, column.image_path).where(*which.where(theme_id)).order_by(column.id)
    limit = wb.settings.predict_batch_images
    known = _paths(wb, batch_id)
    with wb.db.read() as connection:
        fits = connection.execute(query.limit(limit + 1)).all()
    rows: list[Row] = [(name, path, None) for name, path in fits if path not in known]
    if not fits:
        raise InvalidInput("The theme “{name}” has no such images; choose others.", name=theme.name)
    if not rows:
        raise InvalidInput("All of these images are in the batch already; choose others, or start it.")
    if batch.images + len(rows) > limit:
        raise _too_many(theme.name, limit)
    _append(wb, batch_id, rows, 0)
    return len(rows)


def _paths(wb: Workbench, batch_id: int) -> set[str]:
    """Keys of the images that the batch has."""
    found: set[str] = set()
    for key in prediction_batches.parts(wb, batch_id):
        with wb.files.open(key) as file:
            found.update(path for path in pq.read_table(file, columns=["path"])["path"].to_pylist() if path)
    return found


def _append(wb: Workbench, batch_id: int, rows: list[Row], unnamed: int) -> None:
    """Note what came, and `unnamed` further files that were refused. Raises NotFound, Conflict, InvalidInput."""
    added = sum(path is not None for _, path, _ in rows)
    limit = wb.settings.predict_batch_images
    key = wb.files.put(packed(given(rows)), f"{folder(batch_id)}/given", "parquet")

    def work(connection: sa.Connection) -> None:
        batch = prediction_batches.lock(connection, batch_id)
        if batch["state"] != OPEN:
            raise _started(batch["name"])
        if batch["images"] + added > limit:  # others add to it, too
            raise _too_many(batch["name"], limit)
        column = prediction_batch_parts.c
        last = sa.select(sa.func.max(column.number)).where(column.batch_id == batch_id)
        number = (connection.execute(last).scalar() or 0) + 1
        connection.execute(prediction_batch_parts.insert().values(batch_id=batch_id, number=number, path=key))
        counts = {
            "images": table.c.images + added,
            "refused": table.c.refused + len(rows) - added + unnamed,
        }
        connection.execute(table.update().where(table.c.id == batch_id).values(**counts))

    wb.db.write(work)


def _started(name: str) -> Conflict:
    return Conflict("The batch “{name}” was started already; make another one for further images.", name=name)


def _too_many(name: str, limit: int) -> InvalidInput:
    return InvalidInput(
        "“{name}” and what follows is too much: a batch can have {limit} images; make another one of the rest.",
        name=name,
        limit=limit,
    )
