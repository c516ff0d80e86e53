from __future__ import annotations

import io
import struct
import zlib

import imagehash
import numpy as np
import pytest
from pictures import encoded, picture, png
from PIL import Image

from core.errors import InvalidInput
from core.images_io import Limits, inspect, perceptual_hash, to_png

LIMITS = Limits(max_file_bytes=5_000_000, max_pixels=50_000_000)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_each_format_is_read_and_gets_a_thumbnail(kind: str) -> None:
    info = inspect(encoded(picture(1, (600, 300)), kind), LIMITS)
    assert (info.format, info.width, info.height) == (kind, 600, 300)
    thumbnail = Image.open(io.BytesIO(info.thumbnails[256]))
    assert (thumbnail.format, thumbnail.size) == ("WEBP", (256, 128))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1", "CMYK", "I;16"])
def test_each_colour_mode_is_read(mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray((np.arange(64 * 64).reshape(64, 64) * 16).astype(np.uint16))
    else:
        image = picture(2, (40, 40), "RGB").convert("RGBA" if mode == "LA" else mode).convert(mode)
    info = inspect(encoded(image, "TIFF"), LIMITS)
    assert (info.width, info.height) == image.size
    if mode == "I;16":  # deep grey is scaled, not clipped to white
        assert np.asarray(Image.open(io.BytesIO(info.thumbnails[256])).convert("L")).std() > 50


def test_the_perceptual_hash_is_that_of_imagehash() -> None:
    for seed in range(20):
        for mode in ("L", "RGB"):
            image = picture(seed, (32 + seed * 9, 50), mode)
            assert perceptual_hash(image) == str(imagehash.phash(image))
            assert inspect(encoded(image), LIMITS).phash == str(imagehash.phash(image))
    flat = Image.new("RGB", (64, 64), "white")
    assert perceptual_hash(flat) == str(imagehash.phash(flat))


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    info = inspect(encoded(picture(3, (64, 32)), "JPEG", exif=exif), LIMITS)
    assert (info.width, info.height) == (32, 64)
    assert Image.open(io.BytesIO(info.thumbnails[256])).size == (32, 64)


def test_a_tiff_can_be_shown_as_png() -> None:
    shown = Image.open(io.BytesIO(to_png(encoded(picture(4), "TIFF"))))
    assert (shown.format, shown.size) == ("PNG", (24, 16))


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has next to nothing inside."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(bytes(1000))
    chunks = (
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, body, b"IEND")
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


BAD = {
    "empty": (b"", "is empty"),
    "text": (b"hello", "is not an image"),
    "pdf": (b"%PDF-1.7 and so on", "but a PDF"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not an image"),
    "cut png": (png(1, (200, 200))[:-2000], "damaged or cut short"),
    "cut jpeg": (encoded(picture(1, (800, 800)), "JPEG")[:-3000], "damaged or cut short"),
    "cut webp": (encoded(picture(1, (200, 200)), "WEBP")[:-100], ""),  # found when the header is read
    "cut bmp": (encoded(picture(1, (200, 200)), "BMP")[:-100], "damaged or cut short"),
    "cut gif": (encoded(picture(1, (200, 200)), "GIF")[:-2000], "damaged or cut short"),
    "100 megapixels": (png_header(10_000, 10_000), "more than 50 megapixels"),
    "3,600 megapixels": (png_header(60_000, 60_000), "more than 50 megapixels"),
    "large": (png(1) + bytes(5_000_000), "larger than 4 MB"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_accepted_is_refused_by_name(case: str) -> None:
    data, says = BAD[case]
    with pytest.raises(InvalidInput) as refusal:
        inspect(data, LIMITS, "holiday.png")
    assert str(refusal.value).startswith("“holiday.png” ")
    assert says in str(refusal.value)
