"""Stored. Themes and their labels: what a person wants to tell apart in a set of images."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from core import audit, auth
from core.db.engine import hold, next_ids
from core.db.tables import (
    deployments,
    finetuning_jobs,
    label_history,
    labels,
    model_registry,
    models,
    themes,
    train_data,
)
from core.errors import Conflict, InvalidInput, NotFound
from core.events import ENDED
from core.labels import (
    MAX_LABELS,
    Label,
    insert_labels,
    label_color,
    label_name,
    label_names,
    labels_by_theme,
    name_problem,
    next_position,
    normal,
)
from core.workbench import Workbench

MAX_NAME = 200
MAX_DESCRIPTION = 10_000
_TRAINS = finetuning_jobs.c.kind.not_in(("suggest", "predict", "check", "text-check", "text-split"))


@dataclass(frozen=True)
class Theme:
    id: int
    name: str
    description: str
    created_at: datetime
    labels: tuple[Label, ...]

    def label(self, label_id: int) -> Label:
        """Raises NotFound."""
        for label in self.labels:
            if label.id == label_id:
                return label
        raise NotFound(
            "Label {label} is not one of the theme “{theme}”; it may have been deleted.",
            label=label_id,
            theme=self.name,
        )


@dataclass(frozen=True)
class LastRun:
    id: int
    status: str
    at: datetime


@dataclass(frozen=True)
class ThemeCard:
    """A theme as its card shows it."""

    theme: Theme
    images: int
    labelled: int
    last_run: LastRun | None


def cards(wb: Workbench, search: str = "") -> list[ThemeCard]:
    """All themes, newest first; with `search` those whose name or description contains it, in any case."""
    query = sa.select(themes).where(themes.c.deleted_at.is_(None)).order_by(themes.c.id.desc())
    if word := search.strip():
        query = query.where(
            themes.c.name.icontains(word, autoescape=True)
            | themes.c.description.icontains(word, autoescape=True)
        )
    counts = (
        sa.select(train_data.c.theme_id, sa.func.count(), sa.func.count(train_data.c.label_id))
        .where(train_data.c.deleted_at.is_(None))
        .group_by(train_data.c.theme_id)
    )
    newest = sa.select(sa.func.max(finetuning_jobs.c.id)).where(_TRAINS).group_by(finetuning_jobs.c.theme_id)
    job = finetuning_jobs.c
    runs = sa.select(job.theme_id, job.id, job.status, job.created_at, job.started_at, job.ended_at).where(
        job.id.in_(newest)
    )
    with wb.db.read() as connection:
        found = connection.execute(query).all()
        label_rows = labels_by_theme(connection, [row.id for row in found])
        counted = {row[0]: (row[1], row[2]) for row in connection.execute(counts)}
        last = {
            row.theme_id: LastRun(row.id, row.status, row.ended_at or row.started_at or row.created_at)
            for row in connection.execute(runs)
        }
    return [
        ThemeCard(_theme(row, label_rows), *counted.get(row.id, (0, 0)), last_run=last.get(row.id))
        for row in found
    ]


def get(wb: Workbench, theme_id: int) -> Theme:
    """Raises NotFound where there is none or it was deleted."""
    with wb.db.read() as connection:
        return _get(connection, theme_id)


def create(
    wb: Workbench, actor: auth.User, *, name: str, description: str = "", labels: Iterable[str] = ()
) -> Theme:
    """A new theme with its labels in the order given. Raises InvalidInput, Conflict, NotAllowed."""
    auth.require(actor, auth.TRAINER)
    name = _theme_name(name)
    description = _description(description)
    names = label_names(labels)

    def work(connection: sa.Connection) -> int:
        _refuse_taken(connection, name)
        [theme_id] = next_ids(connection, "themes_id_seq", 1)
        now = datetime.now(UTC)
        connection.execute(
            themes.insert().values(
                id=theme_id,
                name=name,
                description=description,
                created_by=actor.id,
                created_at=now,
                updated_at=now,
            )
        )
        insert_labels(connection, theme_id, names, start=0)
        audit.record(connection, actor, "theme.create", f"theme {theme_id}", {"name": name, "labels": names})
        return theme_id

    return get(wb, wb.db.write(work))


def update(
    wb: Workbench,
    actor: auth.User,
    theme_id: int,
    *,
    name: str | None = None,
    description: str | None = None,
) -> Theme:
    """Change what is given. Raises InvalidInput, Conflict, NotFound, NotAllowed."""
    auth.require(actor, auth.TRAINER)
    values: dict[str, Any] = {}
    if name is not None:
        values["name"] = _theme_name(name)
    if description is not None:
        values["description"] = _description(description)

    def work(connection: sa.Connection) -> None:
        lock(connection, theme_id)
        if "name" in values:
            _refuse_taken(connection, values["name"], but=theme_id)
        connection.execute(
            themes.update().where(themes.c.id == theme_id).values(**values, updated_at=datetime.now(UTC))
        )
        audit.record(connection, actor, "theme.update", f"theme {theme_id}", values)

    if values:
        wb.db.write(work)
    return get(wb, theme_id)


def what_goes(wb: Workbench, theme_id: int) -> dict[str, int]:
    """How many images, labels, runs and model versions leave the screens with the theme."""
    with wb.db.read() as connection:
        _get(connection, theme_id)
        return _what_goes(connection, theme_id)


def delete(wb: Workbench, actor: auth.User, theme_id: int, *, confirm_name: str) -> dict[str, int]:
    """Take the theme off every screen; `confirm_name` must be its name. Returns what went.

    Rows and files stay as tombstones: model versions still lead back to their data.
    Raises InvalidInput for another name, Conflict while a run of it is going.
    """
    auth.require(actor, auth.TRAINER)

    def work(connection: sa.Connection) -> dict[str, int]:
        lock(connection, theme_id)
        theme = _get(connection, theme_id)
        if normal(confirm_name) != theme.name:
            raise InvalidInput("To delete the theme, type its name exactly: “{name}”.", name=theme.name)
        running = connection.execute(
            sa.select(sa.func.min(finetuning_jobs.c.id)).where(
                finetuning_jobs.c.theme_id == theme_id,
                _TRAINS,
                finetuning_jobs.c.status.not_in([status.value for status in ENDED]),
            )
        ).scalar_one()
        if running is not None:
            raise Conflict(
                "Run {run} of the theme “{name}” is still going; cancel it or wait for its end first.",
                run=running,
                name=theme.name,
            )
        gone = _what_goes(connection, theme_id)
        now = datetime.now(UTC)
        connection.execute(
            themes.update().where(themes.c.id == theme_id).values(deleted_at=now, updated_at=now)
        )
        versions = (
            sa.select(model_registry.c.id)
            .join(models, models.c.id == model_registry.c.model_id)
            .where(models.c.theme_id == theme_id)
        )
        connection.execute(  # nobody could see, let alone stop, a model server that went on
            deployments.update()
            .where(deployments.c.version_id.in_(versions))
            .values(desired="down", status="down", url=None, updated_at=now)
        )
        audit.record(connection, actor, "theme.delete", f"theme {theme_id}", {"name": theme.name, **gone})
        return gone

    return wb.db.write(work)


def add_label(
    wb: Workbench, actor: auth.User, theme_id: int, *, name: str, color: str | None = None
) -> Label:
    """Raises InvalidInput, Conflict for a name in use, NotFound, NotAllowed."""
    auth.require(actor, auth.TRAINER)
    name = label_name(name)
    color = None if color is None else label_color(color)

    def work(connection: sa.Connection) -> Label:
        lock(connection, theme_id)
        theme = _get(connection, theme_id)
        _refuse_label(theme, name)
        [label] = insert_labels(
            connection,
            theme_id,
            [name],
            start=next_position(connection, theme_id),
            colors={} if color is None else {name: color},
        )
        audit.record(
            connection, actor, "label.create", f"theme {theme_id}", {"label": label.id, "name": name}
        )
        return label

    return wb.db.write(work)


def update_label(
    wb: Workbench,
    actor: auth.User,
    theme_id: int,
    label_id: int,
    *,
    name: str | None = None,
    color: str | None = None,
) -> Label:
    """Change what is given; the images keep the label. Raises InvalidInput, Conflict, NotFound."""
    auth.require(actor, auth.TRAINER)
    values: dict[str, str] = {}
    if name is not None:
        values["name"] = label_name(name)
    if color is not None:
        values["color"] = label_color(color)

    def work(connection: sa.Connection) -> Label:
        lock(connection, theme_id)
        theme = _get(connection, theme_id)
        theme.label(label_id)
        if "name" in values:
            _refuse_label(theme, values["name"], but=label_id)
        if values:
            connection.execute(labels.update().where(labels.c.id == label_id).values(**values))
            audit.record(
                connection, actor, "label.update", f"theme {theme_id}", {"label": label_id, **values}
            )
        return _get(connection, theme_id).label(label_id)

    return wb.db.write(work)


def delete_label(wb: Workbench, actor: auth.User, theme_id: int, label_id: int) -> int:
    """Delete a label; its images become unlabelled, their history stays. Returns how many they were."""
    auth.require(actor, auth.TRAINER)

    def work(connection: sa.Connection) -> int:
        lock(connection, theme_id)
        label = _get(connection, theme_id).label(label_id)
        now = datetime.now(UTC)
        had = sa.and_(
            train_data.c.theme_id == theme_id,
            train_data.c.label_id == label_id,
            train_data.c.deleted_at.is_(None),
        )
        connection.execute(
            label_history.insert().from_select(
                ["theme_id", "image_id", "at", "user_id", "from_label_id", "to_label_id", "source"],
                sa.select(
                    train_data.c.theme_id,
                    train_data.c.id,
                    sa.literal(now, sa.DateTime(timezone=True)),
                    sa.literal(actor.id, sa.BigInteger),
                    train_data.c.label_id,
                    sa.cast(sa.null(), sa.BigInteger),
                    sa.literal("hand"),
                ).where(had),
            )
        )
        changed = connection.execute(
            sa.select(sa.func.count()).select_from(train_data).where(had)
        ).scalar_one()
        connection.execute(
            train_data.update()
            .where(had)
            .values(label_id=None, labeled_by=None, labeled_at=None, updated_at=now)
        )
        connection.execute(labels.update().where(labels.c.id == label_id).values(deleted_at=now))
        audit.record(
            connection,
            actor,
            "label.delete",
            f"theme {theme_id}",
            {"label": label_id, "name": label.name, "images": changed},
        )
        return int(changed)

    return wb.db.write(work)


def lock(connection: sa.Connection, theme_id: int) -> None:
    """Writers of one theme's data take turns; raises NotFound where the theme is gone.

    DuckDB has one writer anyway; on Postgres this holds the row until the transaction ends.
    """
    query = sa.select(themes.c.id).where(themes.c.id == theme_id, themes.c.deleted_at.is_(None))
    if connection.dialect.name == "postgresql":
        query = query.with_for_update(key_share=True)
    if connection.execute(query).one_or_none() is None:
        raise _no_theme(theme_id)


def _get(connection: sa.Connection, theme_id: int) -> Theme:
    row = connection.execute(
        sa.select(themes).where(themes.c.id == theme_id, themes.c.deleted_at.is_(None))
    ).one_or_none()
    if row is None:
        raise _no_theme(theme_id)
    return _theme(row, labels_by_theme(connection, [theme_id]))


def _theme(row: sa.Row[Any], label_rows: dict[int, list[Label]]) -> Theme:
    return Theme(row.id, row.name, row.description, row.created_at, tuple(label_rows.get(row.id, ())))


def _what_goes(connection: sa.Connection, theme_id: int) -> dict[str, int]:
    def count(query: sa.Select[Any]) -> int:
        return int(connection.execute(sa.select(sa.func.count()).select_from(query.subquery())).scalar_one())

    return {
        "images": count(
            sa.select(train_data.c.id).where(
                train_data.c.theme_id == theme_id, train_data.c.deleted_at.is_(None)
            )
        ),
        "labels": count(
            sa.select(labels.c.id).where(labels.c.theme_id == theme_id, labels.c.deleted_at.is_(None))
        ),
        "runs": count(sa.select(finetuning_jobs.c.id).where(finetuning_jobs.c.theme_id == theme_id, _TRAINS)),
        "models": count(
            sa.select(model_registry.c.id)
            .join(models, models.c.id == model_registry.c.model_id)
            .where(models.c.theme_id == theme_id)
        ),
    }


def _refuse_taken(connection: sa.Connection, name: str, but: int | None = None) -> None:
    """Until the transaction ends nobody else takes a name."""
    hold(connection, "themes.name")
    # Compared here, not in SQL: the two backends fold the case of letters beyond ASCII differently.
    rows = connection.execute(sa.select(themes.c.id, themes.c.name).where(themes.c.deleted_at.is_(None)))
    if any(row.name.casefold() == name.casefold() and row.id != but for row in rows):
        raise Conflict("There is a theme named “{name}” already; choose another name.", name=name)


def _refuse_label(theme: Theme, name: str, but: int | None = None) -> None:
    if any(label.name.casefold() == name.casefold() and label.id != but for label in theme.labels):
        raise Conflict(
            "The theme “{theme}” has a label “{name}” already; choose another name.",
            theme=theme.name,
            name=name,
        )
    if but is None and len(theme.labels) >= MAX_LABELS:
        raise InvalidInput("A theme can have {limit} labels; delete one first.", limit=MAX_LABELS)


def _theme_name(name: str) -> str:
    name = normal(name)
    match name_problem(name, MAX_NAME):
        case "empty":
            raise InvalidInput("The theme's name is empty; type at least one character.")
        case "long":
            raise InvalidInput(
                "The theme's name has {n} characters; use at most {limit}.", n=len(name), limit=MAX_NAME
            )
        case "control":
            raise InvalidInput("The theme's name has a control character or line break in it; remove it.")
    return name


def _description(text: str) -> str:
    text = normal(text)
    if len(text) > MAX_DESCRIPTION:
        raise InvalidInput(
            "The description has {n} characters; use at most {limit}.", n=len(text), limit=MAX_DESCRIPTION
        )
    if any(unicodedata.category(c) == "Cs" or c == "\0" for c in text):
        raise InvalidInput("The description has a character that cannot be stored; remove it.")
    return text


def _no_theme(theme_id: int) -> NotFound:
    return NotFound("There is no theme {id}; it may have been deleted.", id=theme_id)
