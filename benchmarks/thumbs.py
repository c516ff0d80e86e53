"""Thumbnails a second from one app process: from the file store, from its memory, and "not modified".

    python -m benchmarks.thumbs

The client is a process of its own that reads plain sockets with a browser's headers. Prints a table; the last
line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from benchmarks.app_process import running_app
from core import auth
from core.images import thumbnail_key
from core.images_io import THUMBNAIL_SIDES, Limits, inspect
from core.workbench import Workbench

IMAGES = 2_000
CONNECTIONS = 8
ROUNDS = 5
"""How often each thumbnail is asked for again."""
TARGET = 800

Sizes = dict[str, int]


@dataclass(frozen=True)
class Asked:
    """What one connection wants: `bytes` that must come by path, or 304 where `tags` are given."""

    paths: list[str]
    sizes: Sizes
    tags: dict[str, str] | None = None


@dataclass
class Answered:
    seconds: float = 0.0
    ms: list[float] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="not needed here; the pictures are made")
    parser.parse_args()
    figures: dict[str, object] = {"benchmark": "thumbs", "images": IMAGES, "connections": CONNECTIONS}
    spawning = multiprocessing.get_context("spawn")
    with running_app(prepare) as app, ProcessPoolExecutor(1, mp_context=spawning) as client:
        token = app.client.headers["authorization"].removeprefix("Bearer ")

        def measure(name: str, key: str, sizes: Sizes, rounds: int, tags: dict[str, str] | None) -> Answered:
            before = sum(app.process.cpu_times()[:2])
            asked = Asked(list(sizes) * rounds, sizes, tags)
            got = client.submit(ask, app.url, token, asked).result()
            busy = (sum(app.process.cpu_times()[:2]) - before) / got.seconds
            rate = len(got.ms) / got.seconds
            p50, p95 = np.percentile(got.ms, [50, 95])
            print(
                f"{name:34} {len(got.ms):7,} {rate:8.0f} {p50:7.1f} {p95:7.1f} {busy:6.0%} {'≥ ' + str(TARGET):>7}"
            )
            figures[f"{key}_per_s"] = round(rate)
            figures[f"{key}_p95_ms"] = round(float(p95), 1)
            return got

        print(
            f"{'what':34} {'answers':>7} {'a second':>8} {'p50 ms':>7} {'p95 ms':>7} {'app':>6} {'target':>7}"
        )
        for side, sizes in zip(THUMBNAIL_SIDES, app.prepared, strict=True):
            kib = sum(sizes.values()) / len(sizes) / 1024
            what = f"{side} px, {kib:.1f} KiB"
            tags = measure(f"{what}, first time", f"cold_{side}", sizes, 1, None).tags
            measure(f"{what}, again", f"warm_{side}", sizes, ROUNDS, None)
            measure(f"{side} px, If-None-Match → 304", f"unchanged_{side}", sizes, ROUNDS, tags)
    print(json.dumps(figures))


def prepare(wb: Workbench, _admin: auth.User) -> list[Sizes]:
    """IMAGES pictures, thumbnailed as an upload does; bytes by address, for each of THUMBNAIL_SIDES."""
    limits = Limits.of(wb.settings)
    chance = np.random.default_rng(0)
    made: list[Sizes] = [{} for _ in THUMBNAIL_SIDES]
    for _ in range(IMAGES):
        info = inspect(picture(chance), limits)
        for sizes, side, ending in zip(made, THUMBNAIL_SIDES, ("-small", ""), strict=True):
            wb.files.write(thumbnail_key(info.sha256, side), info.thumbnails[side])
            sizes[f"/api/thumbs/{info.sha256}{ending}.webp"] = len(info.thumbnails[side])
    return made


def picture(chance: np.random.Generator) -> bytes:
    """A JPEG with coarse and fine detail, about as hard to compress as a photograph."""
    image = np.zeros((256, 320, 3), dtype=np.float32)
    for cells, weight in ((4, 0.55), (16, 0.3), (64, 0.15)):
        noise = chance.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        image += weight * np.asarray(Image.fromarray(noise).resize((320, 256), Image.Resampling.BICUBIC))
    out = io.BytesIO()
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=85)
    return out.getvalue()


def ask(url: str, token: str, asked: Asked) -> Answered:
    """In the client's process: everything that was asked, dealt over CONNECTIONS kept-alive connections."""
    return asyncio.run(_ask(url, token, asked))


async def _ask(url: str, token: str, asked: Asked) -> Answered:
    answered = Answered()
    host = urlsplit(url)
    head = (
        f"Host: {host.netloc}\r\nConnection: keep-alive\r\nAccept: image/avif,image/webp,image/*,*/*;q=0.8\r\n"
        "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9\r\n"
        "Sec-Fetch-Dest: image\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Site: same-origin\r\n"
        f"Referer: {url}/theme?theme=1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0\r\n"
        f"Cookie: {auth.COOKIE}={token}\r\n"
    )
    streams = [await asyncio.open_connection(host.hostname, host.port) for _ in range(CONNECTIONS)]
    began = time.perf_counter()
    await asyncio.gather(
        *(
            _connection(reader, writer, head, asked, asked.paths[number::CONNECTIONS], answered)
            for number, (reader, writer) in enumerate(streams)
        )
    )
    answered.seconds = time.perf_counter() - began
    for _, writer in streams:
        writer.close()
    return answered


async def _connection(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    head: str,
    asked: Asked,
    paths: list[str],
    answered: Answered,
) -> None:
    """One request after the other. Raises RuntimeError for an answer that is not the one expected."""
    for path in paths:
        known = f"If-None-Match: {asked.tags[path]}\r\n" if asked.tags else ""
        began = time.perf_counter()
        writer.write(f"GET {path} HTTP/1.1\r\n{head}{known}\r\n".encode())
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = b"" if asked.tags else await reader.readexactly(int(fields["content-length"]))
        answered.ms.append((time.perf_counter() - began) * 1000)
        answered.tags[path] = fields["etag"]
        expected = (304, 0) if asked.tags else (200, asked.sizes[path])
        if (int(status.split()[1]), len(body)) != expected:
            raise RuntimeError(f"{status} with {len(body)} bytes, not {expected}")


if __name__ == "__main__":
    main()
