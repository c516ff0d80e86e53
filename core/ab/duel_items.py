"""Stored. Where the items of a duel come from: the theme's images, a program, or what users asked in the live test."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core import auth, images, registry, serving, storable
from core.ab.trials import Trial
from core.db.tables import ab_test_logs
from core.errors import Conflict, InvalidInput, VeritrainError
from core.image_filter import Filter
from core.images import Image
from core.workbench import Workbench

MAX_SAMPLE = 500
"""Items of one sample; both models answer them while a person waits."""
MAX_TEXT = 20_000
MAX_KEY = 64
PICTURES = ("png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff")
"""Endings of logged queries that name an image; the log does not keep the image, so nobody could judge it."""

_WHICH = {"unlabelled": Filter(state="unlabelled"), "test": Filter(split="test"), "all": Filter()}
_SENTENCES = {
    "query": "A query is a text of 1 to {limit} characters.",
    "answer_a": "The answer of A is a text of at most {limit} characters; it may be empty.",
    "answer_b": "The answer of B is a text of at most {limit} characters; it may be empty.",
}


class Sample(BaseModel):
    """Which items are drawn, by chance but the same for the same seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["images", "logs"] = "images"
    n: int = Field(100, ge=1, le=MAX_SAMPLE)
    which: Literal["unlabelled", "test", "all"] = "unlabelled"
    """Of the images: those no model was trained on, or all."""
    seed: int = Field(0, ge=0, lt=2**32)


class Given(BaseModel):
    """An item as a program sends it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    query: str = Field(min_length=1, max_length=MAX_TEXT)
    answer_a: str = Field(max_length=MAX_TEXT)
    answer_b: str = Field(max_length=MAX_TEXT)
    confidence_a: float | None = Field(None, ge=0, le=1)
    confidence_b: float | None = Field(None, ge=0, le=1)
    key: str | None = Field(None, min_length=1, max_length=MAX_KEY)
    """Made by the sender, so that sending again adds nothing twice; left out, the texts themselves say."""


@dataclass(frozen=True)
class Item:
    """One question with both answers."""

    key: str
    answer_a: str
    answer_b: str
    query: str | None = None
    image_id: int | None = None
    confidence_a: float | None = None
    confidence_b: float | None = None

    @property
    def same(self) -> bool:
        """Whether both said the same, but for the way characters are encoded and space around."""
        return _plain(self.answer_a) == _plain(self.answer_b)


def from_images(
    wb: Workbench, actor: auth.User, theme_id: int, versions: tuple[int, int], sample: Sample
) -> tuple[list[Item], int]:
    """Both versions' answers to images of the theme, and how many images one of them could not answer.

    Raises Conflict where one is not deployed and up, InvalidInput where there is no image to draw from.
    """
    deployed = [_deployment(wb, version_id) for version_id in versions]
    ids = np.sort(images.ids(wb, theme_id, _WHICH[sample.which]))
    if not len(ids):
        raise InvalidInput("There is no image of that kind in the theme; draw from others.")
    drawn = np.random.default_rng(sample.seed).permutation(ids)[: sample.n]
    chosen = images.rows(wb, theme_id, drawn.tolist())
    both = [serving.predict(wb, actor, each, _files(wb, chosen)) for each in deployed]
    items = [
        Item(f"image-{image.id}", a.label, b.label, None, image.id, a.confidence, b.confidence)
        for image, a, b in zip(chosen, *both, strict=True)
        if a.label is not None and b.label is not None
    ]
    return items, len(chosen) - len(items)


def from_logs(wb: Workbench, trial: Trial, arm: int, sample: Sample) -> list[Item]:
    """Queries that users of both variants asked in the same words, with the first answer of each.

    Raises InvalidInput where there is none.
    """
    with wb.db.read() as connection:
        asked = _asked_of_both(connection, trial.id, arm, sample)
        found = _first_answers(connection, trial.id, arm, asked)
    items = [
        Item(_key(query, found[query, 0], found[query, arm]), found[query, 0], found[query, arm], query)
        for query in asked
    ]
    if not items:
        raise InvalidInput(
            "No logged text was asked of both variants in the same words and answered; log query and response, "
            "or draw from the images."
        )
    return items


def from_program(
    rows: Sequence[Mapping[str, Any]],
) -> tuple[dict[int, Item], list[tuple[int, VeritrainError]]]:
    """Items by their place in `rows`, and why the others are refused."""
    good: dict[int, Item] = {}
    refused: list[tuple[int, VeritrainError]] = []
    for index, row in enumerate(rows):
        try:
            good[index] = _read(row)
        except InvalidInput as error:
            refused.append((index, error))
    return good, refused


def _read(row: Mapping[str, Any]) -> Item:
    try:
        given = Given.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "item"
        if sentence := _SENTENCES.get(name):
            raise InvalidInput(sentence, limit=MAX_TEXT) from error
        raise InvalidInput("“{field}” is not right: {reason}.", field=name, reason=first["msg"]) from error
    for field in ("query", "answer_a", "answer_b", "key"):
        storable.check(field, getattr(given, field) or "")
    key = given.key or _key(given.query, given.answer_a, given.answer_b)
    return Item(
        key, given.answer_a, given.answer_b, given.query, None, given.confidence_a, given.confidence_b
    )


def _deployment(wb: Workbench, version_id: int) -> int:
    """Id of the deployment that serves a version now."""
    version = registry.get(wb, version_id)
    registry.require_images(version)
    found = next((each for each in serving.deployments(wb) if each.version.id == version_id), None)
    if found is None:
        raise Conflict(
            "Version {n} is not deployed, so it cannot answer; deploy it under Models.", n=version.version
        )
    if found.status != serving.UP:
        raise Conflict(
            "Version {n} is deployed but not up yet; wait until its state is “up”.", n=version.version
        )
    return found.id


def _files(wb: Workbench, chosen: Sequence[Image]) -> Iterator[tuple[str, bytes]]:
    for image in chosen:
        yield image.file_name, wb.files.read(image.image_path)


def _asked_of_both(connection: sa.Connection, test_id: int, arm: int, sample: Sample) -> list[str]:
    log = ab_test_logs.c
    query = (
        sa.select(log.query)
        .where(*_answered(test_id, arm), *(~sa.func.lower(log.query).endswith(f".{end}") for end in PICTURES))
        .group_by(log.query)
        .having(sa.func.min(log.arm) < sa.func.max(log.arm))
        # A seeded order that both databases compute alike, without fetching every query.
        .order_by(sa.func.md5(sa.literal(f"{sample.seed} ").concat(log.query)), log.query)
        .limit(sample.n)
    )
    return [str(text) for text in connection.execute(query).scalars()]


def _first_answers(
    connection: sa.Connection, test_id: int, arm: int, asked: Sequence[str]
) -> dict[tuple[str, int], str]:
    log = ab_test_logs.c
    place = sa.func.row_number().over(partition_by=(log.query, log.arm), order_by=(log.logged_at, log.key))
    ranked = (
        sa.select(log.query, log.arm, log.response, place.label("place"))
        .where(*_answered(test_id, arm), log.query.in_(asked))
        .subquery()
    )
    first = sa.select(ranked.c.query, ranked.c.arm, ranked.c.response).where(ranked.c.place == 1)
    return {(query, of): response for query, of, response in connection.execute(first)}


def _answered(test_id: int, arm: int) -> list[sa.ColumnElement[bool]]:
    log = ab_test_logs.c
    return [
        log.test_id == test_id,
        log.arm.in_((0, arm)),
        log.status == "ok",
        log.query.is_not(None),
        log.response.is_not(None),
    ]


def _key(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()
