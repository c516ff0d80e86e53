"""Pure. Images of a request on their way to a model, and what the model says of each."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from core import archives, images_io
from core.errors import InvalidInput, VeritrainError
from core.gateway.lanes import Row
from core.gateway.observed import Told
from core.i18n import gettext
from core.settings import MIB, Settings

PART, PART_BYTES = 32, 32 * MIB
"""Images, and bytes of them, of one request that are held and asked for together."""

NOTHING = Told(None, None)
Given = tuple[str, bytes | VeritrainError]
"""Name of a file (an image or an archive) and its bytes, or why there are none."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one image; `error` says why there is none."""

    name: str
    label: str | None
    confidence: float | None
    probabilities: dict[str, float]
    error: str | None = None
    refusal: VeritrainError | None = None
    """The same as `error`, to be raised where it concerns the whole request."""
    told: Told = NOTHING


@dataclass(frozen=True)
class _Image:
    name: str
    data: bytes
    refusal: VeritrainError | None
    size: tuple[int, int] | None
    """Width and height as they stand in the file."""


@dataclass
class Part:
    """A few images of one request."""

    settings: Settings
    all: list[_Image] = field(default_factory=list)

    @property
    def readable(self) -> list[bytes]:
        return [image.data for image in self.all if image.refusal is None]

    def answers(
        self, rows: Iterable[Row], labels: Sequence[str], *, sampled: bool = False
    ) -> list[Prediction]:
        """What the model's rows for `readable` say; with `sampled`, each image's brightness is looked at."""
        said = iter(rows)
        return [
            _refused(image, image.refusal)
            if image.refusal is not None
            else self._answer(image, next(said), labels, sampled)
            for image in self.all
        ]

    def _answer(self, image: _Image, row: Row, labels: Sequence[str], sampled: bool) -> Prediction:
        if row.get("error"):
            return _refused(image, self._why(image))
        width, height = image.size or (None, None)
        told = Told(
            row["label"],
            float(row["confidence"]),
            width,
            height,
            brightness(image.data) if sampled else None,
        )
        shares = {label: float(p) for label, p in zip(labels, row["probabilities"], strict=True)}
        return Prediction(image.name, told.label, told.confidence, shares, told=told)

    def _why(self, image: _Image) -> VeritrainError:
        """Our own sentence about an image that the model could not read."""
        try:
            images_io.check(image.data, images_io.Limits.of(self.settings), image.name)
        except VeritrainError as error:
            return error
        return InvalidInput(
            "The model could not read “{name}”; save it as PNG or JPEG and send it again.", name=image.name
        )


def parts(settings: Settings, given: Iterable[Given]) -> Iterator[Part]:
    """The images of a request, archives opened, in their order; at most one part is held at a time.

    Raises InvalidInput for more images than one request may have.
    """
    part, waiting = Part(settings), 0
    for count, image in enumerate(_images(settings, given), 1):
        if count > settings.predict_images:
            raise InvalidInput(
                "Predict at most {limit} images at once; send the rest after.", limit=settings.predict_images
            )
        part.all.append(image)
        waiting += len(image.data)
        if len(part.all) >= PART or waiting >= PART_BYTES:
            yield part
            part, waiting = Part(settings), 0
    if part.all:
        yield part


def of_names(settings: Settings, given: Iterable[Given], names: Collection[str]) -> dict[str, bytes]:
    """The images that have these names, archives opened; of several with one name the first."""
    found: dict[str, bytes] = {}
    for image in _images(settings, given):
        if image.refusal is None and image.name in names:
            found.setdefault(image.name, image.data)
    return found


def brightness(data: bytes) -> float | None:
    """Mean grey level of an image, 0 to 1; None where it cannot be read."""
    try:
        image = Image.open(io.BytesIO(data), formats=list(images_io.FORMATS))
        image.draft("L", (64, 64))
        return round(float(np.asarray(images_io.to_display(image).convert("L")).mean()) / 255, 4)
    except Exception:  # Pillow raises nearly anything on hostile bytes
        return None


def _refused(image: _Image, why: VeritrainError) -> Prediction:
    width, height = image.size or (None, None)
    told = Told(None, None, width, height)
    return Prediction(image.name, None, None, {}, why.text(gettext), why, told)


def _images(settings: Settings, given: Iterable[Given]) -> Iterator[_Image]:
    limits = archives.Limits.of(settings)
    for name, data in given:
        if isinstance(data, VeritrainError):
            yield _Image(name, b"", data, None)
        elif archives.kind_of(data[:512]) is None:
            yield _looked_at(settings, name, data)
        else:
            for member in archives.members(io.BytesIO(data), name, len(data), limits):
                if isinstance(member, archives.Refusal):
                    yield _Image(member.name, b"", member.error, None)
                else:
                    yield _looked_at(settings, member.name, member.data)


def _looked_at(settings: Settings, name: str, data: bytes) -> _Image:
    """Type, bytes and pixels are judged by its head; the model decodes it, and says whether it could."""
    try:
        image = images_io.opened(data, images_io.Limits.of(settings), name)
    except VeritrainError as error:
        return _Image(name, b"", error, None)
    return _Image(name, data, None, image.size)
