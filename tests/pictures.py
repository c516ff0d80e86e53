"""Small real image files and archives for tests."""

from __future__ import annotations

import io
import tarfile
import zipfile

import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (24, 16), mode: str = "RGB") -> Image.Image:
    """A smooth random picture of (width, height); another seed gives another one."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, channels), dtype=np.uint8)
    small = Image.fromarray(noise.squeeze(), mode) if mode != "P" else Image.fromarray(noise[..., 0], "L")
    return small.resize(size, Image.Resampling.BICUBIC).convert(mode)


def scene(seed: int) -> Image.Image:
    """Soft coloured patches, as a photograph has them, below a light sky."""
    chance = np.random.default_rng(seed)
    patches = chance.integers(20, 140, (5, 5, 3), dtype=np.uint8)
    patches[:3] = chance.integers(120, 250, (3, 5, 1))
    return Image.fromarray(patches).resize((64, 64), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png(seed: int, size: tuple[int, int] = (24, 16)) -> bytes:
    return encoded(picture(seed, size))


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return out.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()
