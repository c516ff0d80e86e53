"""Stored. Lists of model versions: filtered, by pages, never more of them than are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from core import aliases, ledger, registry, storable, versions
from core.db.tables import model_registry, model_tags, models, themes
from core.errors import InvalidInput
from core.ledger import STAGES
from core.registry import Version
from core.signatures import KINDS, VISION, called
from core.versions import Semver
from core.workbench import Workbench

MAX_PAGE = 200
METRICS = ("test.accuracy", "test.macro_f1", "valid.accuracy", "valid.macro_f1")
Match = Literal["any", "all"]

_R = model_registry.c
_NUMBER = (
    sa.cast(_R.major, sa.String) + "." + sa.cast(_R.minor, sa.String) + "." + sa.cast(_R.patch, sa.String)
)


@dataclass(frozen=True)
class Filter:
    """What a version must be; what is None or empty asks nothing. Raises InvalidInput."""

    theme_id: int | None = None
    model: str | None = None
    """The registered name in MLflow."""
    stage: str | None = None
    kind: str | None = None
    tags: tuple[str, ...] = ()
    match: Match = "any"
    """Whether it must have any or all of the tags."""
    text: str = ""
    """In names of theme and model, version number or description, in any case."""
    metric: str | None = None
    """One of METRICS."""
    minimum: float | None = None
    alias: str | None = None
    """One of core.aliases.NAMES."""

    def __post_init__(self) -> None:
        if self.model is not None:
            versions.model_name(self.model)
        object.__setattr__(self, "tags", versions.tags(self.tags))
        storable.check("text", self.text)
        for value, known, sentence in (
            (self.stage, STAGES, "A stage is one of {all}; “{value}” is not."),
            (self.kind, KINDS, "A kind of model is one of {all}; “{value}” is not."),
            (self.alias, aliases.NAMES, "An alias is one of {all}; “{value}” is not."),
            (self.metric, METRICS, "Versions can be chosen by one of {all}; “{value}” is none."),
        ):
            if value is not None and value not in known:
                raise InvalidInput(sentence, all=", ".join(known), value=value[:60])
        if (self.metric is None) != (self.minimum is None):
            raise InvalidInput("A minimum needs both: which metric, and how much of it.")
        if self.minimum is not None and not 0 <= self.minimum <= 1:
            raise InvalidInput("The minimum of a metric lies between 0 and 1.")

    @property
    def asks(self) -> bool:
        """Whether anything but a theme is asked."""
        return self != Filter(self.theme_id, match=self.match)


@dataclass(frozen=True)
class Page:
    """Some of the versions that fit, newest first."""

    items: list[Version]
    total: int
    """Of all pages."""
    before: int
    """How many on newer pages."""
    newer: int | None
    """Give it as `after` for the page of newer ones; None where there are none."""
    older: int | None
    """Give it as `before` for the page of older ones."""


class Choice(NamedTuple):
    """As much of a version as a person needs to choose it."""

    id: int
    version: int
    semver: Semver
    stage: str
    accuracy: float | None
    """On the test images, 0–1."""
    model: str | None
    """Name of what was trained elsewhere; None: it is the theme's own."""

    def title(self, version: str) -> str:
        """Within its theme; `version` is a word with {n} in it."""
        return (f"{self.model}, " if self.model else "") + version.format(n=self.version)


def page(
    wb: Workbench, asked: Filter, *, limit: int = 50, before: int | None = None, after: int | None = None
) -> Page:
    """Versions that fit; with `before` those with smaller ids, with `after` the nearest with larger ones.

    Raises InvalidInput.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInput("A page has 1 to {limit} versions; ask for so many.", limit=MAX_PAGE)
    if before is not None and after is not None:
        raise InvalidInput("Ask for versions before one or after one, not for both.")
    fitting = _fitting(asked)
    if asked.alias is not None:
        fitting = fitting.where(_has_alias(wb, asked))
    some = fitting.order_by(_R.id.desc())
    if before is not None:
        some = some.where(_R.id < before)
    elif after is not None:
        some = fitting.where(_R.id > after).order_by(_R.id)
    with wb.db.read() as connection:
        ids = sorted(connection.execute(some.limit(limit)).scalars(), reverse=True)
        first, last = (ids[0], ids[-1]) if ids else (before or 0, after or 0)
        every = fitting.subquery().c.id
        counts = sa.select(
            sa.func.count(),
            sa.func.count().filter(every > first),
            sa.func.count().filter(every < last),
        )
        total, newer, older = connection.execute(counts).one()
        found = registry.some(connection, ids)
    return Page(
        [found[version_id] for version_id in ids],
        total,
        newer,
        first if newer and ids else None,
        last if older and ids else None,
    )


def choices(wb: Workbench, theme_id: int) -> list[Choice]:
    """All versions of a theme, newest first."""
    query = (
        sa.select(
            _R.id,
            _R.version,
            _R.major,
            _R.minor,
            _R.patch,
            _R.stage,
            _metric("test.accuracy"),
            models.c.name,
            _R.kind,
        )
        .join(models, models.c.id == _R.model_id)
        .where(models.c.theme_id == theme_id, _R.deleted_at.is_(None))
        .order_by(_R.id.desc())
    )
    with wb.db.read() as connection:
        return [
            Choice(version_id, version, Semver(*numbers), stage, accuracy, None if kind == VISION else name)
            for version_id, version, *numbers, stage, accuracy, name, kind in connection.execute(query)
        ]


class Named(NamedTuple):
    """A model that has versions."""

    id: int
    name: str
    """In MLflow."""
    called: str
    """See core.signatures.called."""


def named(wb: Workbench, theme_id: int | None = None) -> list[Named]:
    """Models by the names of their themes."""
    query = (
        sa.select(models.c.id, models.c.name, themes.c.name, _R.kind)
        .distinct()
        .join(themes, themes.c.id == models.c.theme_id)
        .join(model_registry, _R.model_id == models.c.id)
        .where(themes.c.deleted_at.is_(None))
        .order_by(themes.c.name, models.c.id)
    )
    if theme_id is not None:
        query = query.where(models.c.theme_id == theme_id)
    with wb.db.read() as connection:
        return [
            Named(model_id, name, called(kind, theme_name, name))
            for model_id, name, theme_name, kind in connection.execute(query)
        ]


def tags(wb: Workbench, theme_id: int | None = None) -> list[str]:
    """Every tag in use, in order."""
    query = (
        sa.select(model_tags.c.tag)
        .distinct()
        .where(model_tags.c.version_id.in_(_fitting(Filter(theme_id))))
        .order_by(model_tags.c.tag)
    )
    with wb.db.read() as connection:
        return list(connection.execute(query).scalars())


def _fitting(asked: Filter) -> sa.Select[int]:
    """Their ids."""
    query = (
        sa.select(_R.id)
        .join(models, models.c.id == _R.model_id)
        .join(themes, themes.c.id == models.c.theme_id)
        .where(_R.deleted_at.is_(None), themes.c.deleted_at.is_(None))
    )
    for column, value in (
        (models.c.theme_id, asked.theme_id),
        (models.c.name, asked.model),
        (_R.stage, asked.stage),
        (_R.kind, asked.kind),
    ):
        if value is not None:
            query = query.where(column == value)
    if asked.tags:
        having = sa.select(model_tags.c.version_id).where(model_tags.c.tag.in_(asked.tags))
        if asked.match == "all":
            having = having.group_by(model_tags.c.version_id)
            having = having.having(sa.func.count() == len(asked.tags))
        query = query.where(_R.id.in_(having))
    if word := asked.text.strip():
        fields: tuple[sa.ColumnElement[Any], ...] = (themes.c.name, models.c.name, _NUMBER, _R.description)
        query = query.where(sa.or_(*(field.icontains(word, autoescape=True) for field in fields)))
    if asked.metric is not None:
        query = query.where(_metric(asked.metric) >= asked.minimum)
    return query


def _has_alias(wb: Workbench, asked: Filter) -> sa.ColumnElement[bool]:
    known = ledger.aliases(wb, None if asked.model is None else {asked.model})
    pairs = [(name, own[asked.alias]) for name, own in known.items() if asked.alias in own]
    return sa.tuple_(models.c.name, _R.version).in_(pairs)


def _metric(name: str) -> sa.ColumnElement[float]:
    split, metric = name.split(".")
    return sa.cast(_R.metrics[(split, metric)].as_string(), sa.Double)
