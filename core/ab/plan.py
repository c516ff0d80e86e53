"""Pure. What is fixed before a test starts: who is compared, by what, for how long, and what would stop it."""

from __future__ import annotations

import hashlib
import json
import math
import re
import string
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.ab.metrics import GUARDRAILS, METRICS
from core.errors import InvalidInput
from core.i18n import N_

NAMES = string.ascii_uppercase
MAX_ARMS = 8
MAX_SEGMENTS = 8
MIN_USERS, MAX_USERS = 200, 10**9
MAX_DAYS = 365
MAX_ALPHA = 0.2
MAX_HOLDOUT = 0.5
_NAME = re.compile(r"[\w .-]{1,64}")
Problem = tuple[str, InvalidInput]
"""(field, what is wrong with it): the first part of its path, or with the place of a version (`versions.2`)."""


def _one_of(names: Collection[str]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in names:
            raise ValueError("there is no such metric")
        return value

    return check


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Guardrail(_Model):
    """B must not be worse than A by more than `margin`, a share of A's value: 0.1 is ten percent."""

    metric: Annotated[str, AfterValidator(_one_of(GUARDRAILS))]
    margin: float = Field(gt=0, le=10)


class Exclusion(_Model):
    """Tests of one theme and group never share users: each owns a lane of the group's line of users.

    The lane, [start, end) within [0, 1), is given at the start where no running test has its own; before
    that it is None.
    """

    group: str
    part: float = Field(gt=0, le=1)
    """How wide the lane is: this share of the theme's users is kept for the test while it runs."""
    lane: tuple[float, float] | None = None


class Plan(_Model):
    """The plan of a test; sealed by its hash at the start, and never changed afterwards."""

    versions: tuple[int, ...] = Field(min_length=2, max_length=MAX_ARMS)
    """Ids of the model versions; the first is A, the champion."""
    weights: tuple[float, ...] = ()
    """Each variant's share of the users; equal when left out."""
    coverage: float = Field(1.0, gt=0, le=1)
    """The share of users that takes part."""
    primary: Annotated[str, AfterValidator(_one_of(METRICS))] = "rating"
    minimum: float = Field(gt=0, allow_inf_nan=False)
    """The smallest difference of the primary metric that matters, in its own unit."""
    guardrails: tuple[Guardrail, ...] = Field((), max_length=len(GUARDRAILS))
    segments: tuple[str, ...] = Field((), max_length=MAX_SEGMENTS)
    """Names of fields by which the result is also shown."""
    alpha: float = Field(0.05, gt=0, le=MAX_ALPHA)
    planned_users: int = Field(ge=MIN_USERS, le=MAX_USERS)
    """With a value of the primary metric, all variants together: where the interval is narrowest."""
    days: int = Field(ge=1, le=MAX_DAYS)
    """When the test should end at the latest."""
    holdout: float = Field(0.0, ge=0, le=MAX_HOLDOUT)
    """A share of the theme's users that the test does not touch; the same users for every test of the theme."""
    exclusion: Exclusion | None = None

    @model_validator(mode="before")
    @classmethod
    def _equal_weights(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("versions") and not given.get("weights"):
            n = len(given["versions"])
            return {**given, "weights": [1 / n] * n}
        return given

    @property
    def names(self) -> tuple[str, ...]:
        """A, B, C …, in the order of the versions."""
        return tuple(NAMES[: len(self.versions)])

    @property
    def share(self) -> float:
        """The part of the theme's users that may take part: what holdout, lane and coverage leave."""
        return self.coverage * (1 - self.holdout) * (self.exclusion.part if self.exclusion else 1)

    def plain(self) -> dict[str, Any]:
        """As it is stored and sealed. What was left out says nothing, so that old seals go on to hold."""
        return self.model_dump(mode="json", exclude={"exclusion"} if self.exclusion is None else None)


def seal(stored: Mapping[str, Any]) -> str:
    """SHA-256 of a stored plan as JSON with sorted keys."""
    text = json.dumps(stored, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read(given: Mapping[str, Any]) -> Plan:
    """A plan from plain data. Raises InvalidInput with one sentence for the first thing that is not right."""
    found = problems(given)
    if found:
        raise found[0][1]
    return Plan.model_validate(given)


def problems(given: Mapping[str, Any]) -> list[Problem]:
    """Everything that is not right in a plan from plain data, with the field it belongs to; at most one a field."""
    found: dict[str, InvalidInput] = {}
    try:
        given = Plan.model_validate(given).plain()
    except ValidationError as error:
        for each in error.errors():
            field = str(each["loc"][0]) if each["loc"] else "plan"
            found.setdefault(field, _sentence(field, each["type"], each["msg"]))
    # What one field alone does not show is looked at in the fields that are right.
    rest = {field: value for field, value in given.items() if field not in found and value is not None}
    for field, problem in _together(rest):
        found.setdefault(field, problem)
    return list(found.items())


def check_weights(weights: tuple[float, ...], arms: int) -> None:
    """Raises InvalidInput unless there is a weight for each arm, all in [0, 1], adding up to 1."""
    total = math.fsum(weights)
    if (
        len(weights) != arms
        or any(not 0 <= w <= 1 for w in weights)
        or not math.isclose(total, 1, abs_tol=1e-9)
    ):
        raise InvalidInput(
            "The weights must be {n} numbers from 0 to 1 that add up to 1; these add up to {total:g}.",
            n=arms,
            total=total,
        )
    if sum(w > 0 for w in weights) < 2:
        raise InvalidInput("At least two variants need a weight above 0; otherwise nothing is compared.")
    if not weights[0]:
        raise InvalidInput("A needs a weight above 0: every other variant is compared with it.")


def _together(given: Mapping[str, Any]) -> Iterator[Problem]:
    seen: dict[int, str] = {}
    for index, version in enumerate(given.get("versions", ())):
        if version in seen:
            text = N_("{a} and {b} are the same version, so nothing is compared; choose another for {b}.")
            yield f"versions.{index}", InvalidInput(text, a=seen[version], b=NAMES[index])
        seen.setdefault(version, NAMES[index])
    if given.get("weights") and "versions" in given:
        try:
            check_weights(tuple(given["weights"]), len(given["versions"]))
        except InvalidInput as error:
            yield "weights", error
    metrics = [each["metric"] for each in given.get("guardrails", ())]
    if len(set(metrics)) < len(metrics):
        yield "guardrails", InvalidInput("A guardrail is named twice; give each one margin.")
    segments = given.get("segments", ())
    if len(set(segments)) < len(segments) or not all(map(_NAME.fullmatch, segments)):
        text = N_("Segments are different names of 1 to 64 letters, digits, spaces, dots and dashes.")
        yield "segments", InvalidInput(text)
    if "exclusion" in given and not _NAME.fullmatch(given["exclusion"]["group"]):
        text = N_("An exclusion group has a name of 1 to 64 letters, digits, spaces, dots and dashes.")
        yield "exclusion", InvalidInput(text)


def _sentence(field: str, kind: str, reason: str) -> InvalidInput:
    if kind == "extra_forbidden" and field not in Plan.model_fields:
        return InvalidInput(
            "“{field}” is not part of a plan; there are: {all}.",
            field=field,
            all=", ".join(Plan.model_fields),
        )
    if field in _SENTENCES:
        return InvalidInput(_SENTENCES[field], **_FIELDS.get(field, {}))
    return InvalidInput("“{field}” is not right: {reason}.", field=field, reason=reason)


_SENTENCES = {
    "versions": N_("A test compares 2 to {most} model versions; the first of them is A."),
    "weights": N_("The weights are numbers from 0 to 1, one for each variant."),
    "coverage": N_("The share of the users who take part is above 0 and at most 1."),
    "primary": N_("What decides is not a metric; choose one of: {all}."),
    "minimum": N_("The smallest difference that matters is a number above 0."),
    "guardrails": N_(
        "A guardrail has a metric, one of {all}, and a margin above 0 and at most 10, where 0.1 is 10 %."
    ),
    "segments": N_("Segments are at most {most} names of fields."),
    "alpha": N_("The risk of a false winner (alpha) is above 0 and at most {most}."),
    "planned_users": N_("The planned users are a whole number from {least:,} to {most:,}."),
    "days": N_("The days of the test are a whole number from 1 to {most}."),
    "holdout": N_("The share of users who are never touched is from 0 to {most}."),
    "exclusion": N_("An exclusion has a group, which is a name, and a part above 0 and at most 1."),
}
_FIELDS: Mapping[str, dict[str, Any]] = {
    "versions": {"most": MAX_ARMS},
    "primary": {"all": ", ".join(METRICS)},
    "guardrails": {"all": ", ".join(GUARDRAILS)},
    "segments": {"most": MAX_SEGMENTS},
    "alpha": {"most": MAX_ALPHA},
    "planned_users": {"least": MIN_USERS, "most": MAX_USERS},
    "days": {"most": MAX_DAYS},
    "holdout": {"most": MAX_HOLDOUT},
}
