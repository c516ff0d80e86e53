"""Pure. What a model and its versions may be called: semantic version, tags, names, description."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from core import storable
from core.errors import InvalidInput

MODEL_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
"""It stands in addresses and MLflow's URIs, so it has neither space nor slash nor colon."""
MAX_TAGS, MAX_TAG = 20, 40
MAX_DESCRIPTION = 2_000
MAX_BENCHMARK = 100
_NUMBER = "(0|[1-9][0-9]{0,8})"
_SEMVER = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}")
_TAG = re.compile(rf"[\w.:-]{{1,{MAX_TAG}}}")
_MODEL = re.compile(MODEL_NAME)


@dataclass(frozen=True, order=True)
class Semver:
    """X.Y.Z of semver.org 2.0.0, without pre-release and build; compared number by number (its §11)."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    def next(self) -> Semver:
        """What a new training gets: it may answer otherwise than before, in the same way."""
        return Semver(self.major, self.minor + 1, 0)


FIRST = Semver(1, 0, 0)


def semver(text: str) -> Semver:
    """Raises InvalidInput for anything but X.Y.Z."""
    found = _SEMVER.fullmatch(text)
    if found is None:
        raise InvalidInput(
            "“{text}” is no version number; write three whole numbers without leading zeros, such as 1.4.0.",
            text=text[:40],
        )
    return Semver(*map(int, found.groups()))


def tags(given: Iterable[str]) -> tuple[str, ...]:
    """As they are kept: each once, in order; none takes all away. Raises InvalidInput."""
    kept = sorted({unicodedata.normalize("NFC", tag.strip()) for tag in given})
    for tag in kept:
        if not _TAG.fullmatch(tag):
            raise InvalidInput(
                "“{tag}” is no tag; use 1 to {limit} letters, digits and the signs - _ . : without spaces.",
                tag=tag[:60],
                limit=MAX_TAG,
            )
    if len(kept) > MAX_TAGS:
        raise InvalidInput(
            "A version can have {limit} tags; {n} are given here. Leave some out.",
            limit=MAX_TAGS,
            n=len(kept),
        )
    return tuple(kept)


def description(text: str) -> str:
    """Raises InvalidInput."""
    text = unicodedata.normalize("NFC", text).strip()
    if len(text) > MAX_DESCRIPTION:
        raise InvalidInput(
            "The description has {n} characters; use at most {limit}.", n=len(text), limit=MAX_DESCRIPTION
        )
    return storable.check("description", text)


def model_name(name: str) -> str:
    """Raises InvalidInput."""
    if not _MODEL.fullmatch(name):
        raise InvalidInput(
            "“{name}” is no name of a model; it has 1 to 100 letters from a to z, digits and the signs - _ . "
            "and begins with a letter or digit.",
            name=name[:120],
        )
    return name


def benchmark_name(name: str) -> str:
    """Raises InvalidInput."""
    name = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(name) <= MAX_BENCHMARK:
        raise InvalidInput("A benchmark's name has 1 to {limit} characters.", limit=MAX_BENCHMARK)
    if any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in name):
        raise InvalidInput("The benchmark's name has a control character or line break in it; remove it.")
    return name
