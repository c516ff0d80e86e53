"""Pure. What an uploaded file is: type from its bytes, full decode, limits, hashes, thumbnail."""

from __future__ import annotations

import hashlib
import io
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import filetype
import numpy as np
import scipy.fft
from PIL import Image, ImageOps

from core.errors import InvalidInput
from core.looks import look
from core.quality.measures import SIDE, Measures, measure
from core.settings import MIB, Settings

FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "BMP": "bmp", "GIF": "gif", "TIFF": "tif"}
"""Formats we accept, by Pillow's name, and the extension their files get in the store."""
THUMBNAIL_SIDES = (160, 256)
"""Pixels of the thumbnails' longer sides, for small and large tiles; a smaller image is not enlarged."""
THUMBNAIL_QUALITY = 80
LARGE_PIXELS = 12_000_000
"""Above this many pixels images are decoded one at a time, so that memory stays bounded."""
MAX_NAME = 200
"""Characters of a file name that are kept for people to read."""

_one_large = threading.Semaphore(1)


@dataclass(frozen=True)
class Limits:
    max_file_bytes: int
    max_pixels: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(settings.max_file_bytes, settings.max_pixels)


@dataclass(frozen=True)
class ImageInfo:
    """What one decode of the file found. Width and height in pixels, EXIF orientation applied."""

    format: str
    """One of FORMATS."""
    width: int
    height: int
    size: int
    """Bytes of the file."""
    sha256: str
    phash: str
    """64-bit perceptual hash in hex, the bits of imagehash.phash."""
    look: bytes
    """Vector of core.looks."""
    measures: Measures
    thumbnails: dict[int, bytes]
    """WebP by THUMBNAIL_SIDES: longer side at most so many pixels. A tiny image has the largest alone."""

    @property
    def extension(self) -> str:
        return FORMATS[self.format]


def inspect(data: bytes, limits: Limits, name: str = "file") -> ImageInfo:
    """Decode the file once in full. Raises InvalidInput with a sentence that names `name`."""
    image = opened(data, limits, name)
    kind = _format(image)
    if image.width * image.height > LARGE_PIXELS:
        with _one_large:
            decoded = _decode(image, name)
    else:
        decoded = _decode(image, name)
    return ImageInfo(
        format=kind,
        width=decoded.width,
        height=decoded.height,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        phash=decoded.phash,
        look=decoded.look,
        measures=decoded.measures,
        thumbnails=decoded.thumbnails,
    )


def check(data: bytes, limits: Limits, name: str = "file") -> str:
    """Refuse what `inspect` refuses, without the hashes and thumbnails. Raises InvalidInput likewise.

    Returns the extension of its files in the store.
    """
    image = opened(data, limits, name)
    kind = _format(image)
    with _one_large if image.width * image.height > LARGE_PIXELS else nullcontext():
        _load(image, name)
    return FORMATS[kind]


def thumbnail(data: bytes, limits: Limits) -> bytes:
    """WebP of a stored image with the smaller of THUMBNAIL_SIDES, for files that have none in the store.

    Raises InvalidInput for a file that cannot be read.
    """
    image = opened(data, limits)
    with _one_large if image.width * image.height > LARGE_PIXELS else nullcontext():
        image = _upright(*_load(image, "file"))
    image.thumbnail((THUMBNAIL_SIDES[0],) * 2, Image.Resampling.BICUBIC, reducing_gap=2.0)
    return _webp(image)


@dataclass(frozen=True)
class Seen:
    """What a second look at a stored file finds, the same as the first one found."""

    phash: str
    look: bytes
    measures: Measures
    width: int
    height: int
    """Pixels, EXIF orientation applied."""


def look_again(data: bytes, limits: Limits, name: str = "file") -> Seen:
    """What `inspect` measures, without hash and thumbnails. Raises InvalidInput for a file that cannot be read."""
    image = opened(data, limits, name)
    with _one_large if image.width * image.height > LARGE_PIXELS else nullcontext():
        decoded = _decode(image, name, thumbnails=False)
    return Seen(decoded.phash, decoded.look, decoded.measures, decoded.width, decoded.height)


def opened(data: bytes, limits: Limits, name: str = "file") -> Image.Image:
    """What `inspect` refuses without decoding: size, type, pixels. Raises InvalidInput."""
    if not data:
        raise InvalidInput("“{name}” is empty (0 bytes).", name=name)
    if len(data) > limits.max_file_bytes:
        raise too_big(name, limits.max_file_bytes)
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=list(FORMATS))
    except Image.DecompressionBombError:
        raise _too_many_pixels(name, limits) from None
    except Exception:  # Pillow raises nearly anything on hostile bytes
        raise _not_an_image(data, name) from None
    if image.width * image.height > limits.max_pixels:
        raise _too_many_pixels(name, limits)
    return image


def _format(image: Image.Image) -> str:
    """One of FORMATS; several JPEGs in one file are a JPEG to us."""
    return "JPEG" if image.format == "MPO" else str(image.format)


def too_big(name: str, limit: int) -> InvalidInput:
    return InvalidInput(
        "“{name}” is larger than {limit} MB; make it smaller and upload it again.",
        name=name,
        limit=limit // MIB,
    )


def to_display(image: Image.Image) -> Image.Image:
    """The image in a mode that WebP can hold: 8-bit RGB or RGBA; deeper grey is scaled, not clipped."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        # 16-bit files use the format's range; 32-bit and float ones have none, so their own is taken.
        low, high = (0.0, 65535.0) if image.mode.startswith("I;16") else (values.min(), values.max())
        scaled = (values - low) * (255 / max(high - low, 1e-12))
        image = Image.fromarray(scaled.astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")


def perceptual_hash(image: Image.Image) -> str:
    """64 bits in hex, equal to `str(imagehash.phash(image))`."""
    grey = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS))
    spectrum = scipy.fft.dct(scipy.fft.dct(grey.astype(np.float64), axis=0), axis=1)[:8, :8]
    return np.packbits(spectrum > np.median(spectrum)).tobytes().hex()


@dataclass(frozen=True)
class _Decoded:
    width: int
    height: int
    phash: str
    look: bytes
    measures: Measures
    thumbnails: dict[int, bytes]


def _load(image: Image.Image, name: str) -> tuple[Image.Image, int]:
    """The image in a mode to be shown, and its EXIF orientation (1–8)."""
    try:
        # JPEG can decode at 1/2, 1/4 or 1/8 size; it still reads every byte, so a torn file is found.
        image.draft(None, (2 * THUMBNAIL_SIDES[-1], 2 * THUMBNAIL_SIDES[-1]))
        image.load()
        orientation = _orientation(image)
        return to_display(image), orientation
    except Exception as error:  # as above
        raise _torn(name) from error


def _decode(image: Image.Image, name: str, *, thumbnails: bool = True) -> _Decoded:
    width, height = image.size
    image, orientation = _load(image, name)
    if orientation > 4:
        width, height = height, width
    image = _upright(image, orientation)
    phash = perceptual_hash(image)
    image.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=2.0)
    measures = measure(image)
    made: dict[int, bytes] = {}
    for side in reversed(THUMBNAIL_SIDES):
        if made and max(image.size) <= side:
            break  # the larger one is as small already
        image.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
        if thumbnails:
            made[side] = _webp(image)
    return _Decoded(width, height, phash, look(image), measures, made)


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    if orientation == 1:
        return image
    image.getexif()[0x0112] = orientation
    return ImageOps.exif_transpose(image)


def _webp(image: Image.Image) -> bytes:
    out = io.BytesIO()
    options: dict[str, Any] = {"method": 0, "quality": THUMBNAIL_QUALITY}
    if max(image.size) <= 64:
        # A tiny picture is looked at enlarged, where lossy colour shows.
        options = {"method": 0, "lossless": True, "quality": 0}
    image.save(out, "WEBP", **options)
    return out.getvalue()


def _orientation(image: Image.Image) -> int:
    try:
        value = int(image.getexif().get(0x0112, 1))
    except Exception:  # an unreadable EXIF block does not spoil the picture
        return 1
    return value if 1 <= value <= 8 else 1


def _too_many_pixels(name: str, limits: Limits) -> InvalidInput:
    return InvalidInput(
        "“{name}” has more than {limit} megapixels; make it smaller and upload it again.",
        name=name,
        limit=limits.max_pixels // 1_000_000,
    )


def _torn(name: str) -> InvalidInput:
    return InvalidInput("“{name}” is damaged or cut short; export or copy it again.", name=name)


def _not_an_image(data: bytes, name: str) -> InvalidInput:
    kind = filetype.guess(data[:8192])
    if kind is not None and kind.extension in FORMATS.values():
        return _torn(name)
    if kind is None or kind.mime.startswith("image/"):
        return InvalidInput(
            "“{name}” is not an image we can read; use JPEG, PNG, WebP, BMP, GIF or TIFF.", name=name
        )
    return InvalidInput(
        "“{name}” is not an image but a {kind} file; use JPEG, PNG, WebP, BMP, GIF or TIFF.",
        name=name,
        kind=kind.extension.upper(),
    )


def to_png(data: bytes) -> bytes:
    """An accepted image (its first frame, upright) as PNG, for browsers that cannot show its format."""
    image = Image.open(io.BytesIO(data), formats=list(FORMATS))
    out = io.BytesIO()
    to_display(ImageOps.exif_transpose(image)).save(out, "PNG", compress_level=1)
    return out.getvalue()
