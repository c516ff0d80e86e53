"""Pure. What counts as a finding and what the gate asks for: a theme's own numbers, with defaults."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import InvalidInput
from core.quality import group_names


class Rules(BaseModel):
    """Thresholds of findings (see core.quality.kinds) and of the gate's lines."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    blank_below: float = Field(2.0, ge=0, le=128)
    """Contrast: standard deviation of the brightness, of 255."""
    small_below: float = Field(16.0, ge=0, le=10_000)
    """Pixels of the shorter side."""
    aspect_above: float = Field(4.0, ge=1, le=1_000)
    plain_below: float = Field(1.0, ge=0, le=8)
    """Bits of entropy."""
    dark_below: float = Field(64.0, ge=0, le=255)
    """Brightness that 99 % of the pixels stay below."""
    bright_above: float = Field(240.0, ge=0, le=255)
    """Brightness that 95 % of the pixels are above."""
    blurred_below: float = Field(30.0, ge=0, le=16_384)
    """Variance of the Laplacian at 256 pixels."""
    grey_below: float = Field(3.0, ge=0, le=128)
    """Chroma that 99 % of the pixels stay below."""
    grey_most: float = Field(0.8, ge=0, le=1)
    """Share of the theme's images that must have colour before grey ones stand out."""
    twin_radius: int = Field(10, ge=0, le=11)
    """Bits of 64 in which the perceptual hashes of twins may differ; wide, for the likeness decides."""
    twin_likeness: float = Field(0.97, ge=0.5, le=1)
    """Cosine of shapes and colours that twins have at least."""
    group_pattern: str = ""
    """Reads from a file name what the image belongs to, see core.quality.group_names; empty: nothing is read."""

    most_twins: float = Field(0.20, ge=0, le=1)
    """Gate: share of images that are copies of another."""
    least_per_label: int = Field(10, ge=0, le=1_000_000)
    """Gate: labelled images of every label."""
    most_conflicts: int = Field(0, ge=0, le=1_000_000)
    most_leaks: int = Field(0, ge=0, le=1_000_000)
    most_unreadable: int = Field(0, ge=0, le=1_000_000)


def changed(rules: Rules, values: dict[str, Any]) -> Rules:
    """`rules` with other values. Raises InvalidInput naming the one that is not right."""
    try:
        found = Rules.model_validate({**rules.model_dump(), **values})
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(
            "“{field}” is not right: {reason}.", field=str(first["loc"][0]), reason=first["msg"]
        ) from None
    group_names.check(found.group_pattern)
    return found
