"""Checks of images: measuring files (beside cleanvision), look-alikes among 100,000 hashes, doubted labels, a second run.

    python -m benchmarks.image_quality --data cifar10-8k.tar.gz

cleanvision is measured where it is installed (`uv pip install cleanvision`). Prints a table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from core.images_io import Limits, Seen, look_again
from core.looks import look
from core.quality import doubts, textures, turned, twins
from core.quality.rules import Rules

LIMITS = Limits(50_000_000, 50_000_000)
PHOTOS = 400
PHOTO_SIZE = (500, 375)
HASHES = 100_000
PLANTED = 1_000
FLIPPED = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="cifar10-8k.tar.gz")
    path = Path(parser.parse_args().data)
    data = cifar(path)
    figures: dict[str, Any] = {"benchmark": "image_quality"}
    print(f"{'what':64} {'measured':>18}  target")
    figures |= measuring(data) | beside_cleanvision(data) | look_alikes() | again(data)
    figures |= wrong_digits() | wrong_cifar(path)
    print(json.dumps(figures))


def cifar(path: Path) -> list[bytes]:
    with tarfile.open(path) as archive:
        return [archive.extractfile(member).read() for member in archive if member.isfile()]  # type: ignore[union-attr]


def measuring(data: list[bytes]) -> dict[str, Any]:
    seconds = took(lambda: seen(data))
    rate = len(data) / seconds
    print(f"{f'{len(data):,} CIFAR files read, hashed and measured':64} {rate:11,.0f} /s    ≥ 1,500")
    return {"cifar_per_s": round(rate)}


def beside_cleanvision(data: list[bytes]) -> dict[str, Any]:
    """Photo-sized JPEGs: CIFAR images enlarged, with noise, so that they decode like photos."""
    rng = np.random.default_rng(0)
    photos = []
    for one in data[:PHOTOS]:
        large = np.asarray(Image.open(io.BytesIO(one)).convert("RGB").resize(PHOTO_SIZE), dtype=np.int16)
        noisy = np.clip(large + rng.integers(-12, 13, large.shape), 0, 255).astype(np.uint8)
        out = io.BytesIO()
        Image.fromarray(noisy).save(out, "JPEG", quality=90)
        photos.append(out.getvalue())
    ours = len(photos) / took(lambda: seen(photos))
    figures: dict[str, Any] = {"photos_per_s": round(ours)}
    if importlib.util.find_spec("cleanvision") is None:
        print(f"{f'{PHOTOS} photos of 500 × 375':64} {ours:11,.0f} /s    (cleanvision is not installed)")
        return figures
    from cleanvision import Imagelab

    with tempfile.TemporaryDirectory() as folder:
        for number, photo in enumerate(photos):
            Path(folder, f"{number}.jpg").write_bytes(photo)
        theirs = len(photos) / took(
            lambda: Imagelab(data_path=folder, verbose=False).find_issues(
                n_jobs=os.cpu_count(), verbose=False
            )
        )
    print(
        f"{f'{PHOTOS} photos of 500 × 375; cleanvision in the same run':64} "
        f"{ours:5,.0f} and {theirs:4,.0f} /s  ≥ 3 ×: {ours / theirs:.1f} ×"
    )
    return figures | {"cleanvision_per_s": round(theirs), "cleanvision_ratio": round(ours / theirs, 1)}


def look_alikes() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**63, HASHES, dtype=np.uint64)
    radius = Rules().twin_radius
    copies = hashes[:PLANTED].copy()
    for _ in range(radius):
        copies ^= np.uint64(1) << rng.integers(0, 64, PLANTED, dtype=np.uint64)
    hashes[-PLANTED:] = copies
    began = time.perf_counter()
    pairs = {tuple(pair) for pair in twins.within(hashes, radius).tolist()}
    seconds = time.perf_counter() - began
    missed = sum((n, HASHES - PLANTED + n) not in pairs for n in range(PLANTED))
    print(
        f"{f'pairs within {radius} bits among {HASHES:,} hashes; planted missed':64}"
        f" {seconds:9.1f} s, {missed}    ≤ 10 s, 0"
    )
    return {"look_alikes_s": round(seconds, 2), "look_alikes_missed": missed}


def again(data: list[bytes]) -> dict[str, Any]:
    """What a second run does after 1 % more files came: the first run's work is not repeated."""
    known, fresh = data[: -len(data) // 100], data[-len(data) // 100 :]
    radius = Rules().twin_radius

    def first() -> np.ndarray:
        hashes = twins.bits(one.phash for one in seen(known))
        twins.within(hashes, radius)
        return hashes

    began = time.perf_counter()
    hashes = first()
    whole = time.perf_counter() - began
    part = took(lambda: twins.between(twins.bits(one.phash for one in seen(fresh)), hashes, radius))
    print(f"{'a second run after 1 % more files, of the first run':64} {part / whole * 100:16.1f} %  ≤ 5 %")
    return {"second_run_share": round(part / whole, 4)}


def wrong_digits() -> dict[str, Any]:
    digits = load_digits()
    scans = [Image.fromarray((scan * (255 / 16)).astype("uint8")).convert("RGB") for scan in digits.images]
    shares, _, seconds = doubted(scans, digits.target, seeds=3)
    print(
        f"{'5 % wrong digits found in the most suspicious 10 %; seconds':64}"
        f" {min(shares) * 100:9.0f} %, {seconds:3.1f} s  ≥ 80 %"
    )
    return {"wrong_labels_found": round(min(shares), 3), "wrong_labels_s": round(seconds, 1)}


def wrong_cifar(path: Path) -> dict[str, Any]:
    with tarfile.open(path) as archive:
        members = [member for member in archive if member.isfile()]
        pictures = [Image.open(archive.extractfile(each)).convert("RGB") for each in members]  # type: ignore[arg-type]
    _, labels = np.unique([Path(each.name).parent.name for each in members], return_inverse=True)
    shares, tops, seconds = doubted(pictures, labels, seeds=1)
    print(
        f"{'5 % wrong labels of CIFAR, no model: in the top 10 %; of the first 100':64}"
        f" {shares[0] * 100:6.0f} %, {tops[0] * 100:3.0f} %  ({seconds:.0f} s)"
    )
    return {
        "wrong_cifar_found": round(shares[0], 3),
        "wrong_cifar_first_100": round(tops[0], 3),
        "wrong_cifar_s": round(seconds, 1),
    }


def doubted(
    pictures: list[Image.Image], truth: np.ndarray, seeds: int
) -> tuple[list[float], list[float], float]:
    """By seed, the share of FLIPPED labels in the first tenth and of wrong ones among the first 100; seconds a seed."""
    began = time.perf_counter()
    looks = np.stack([np.frombuffer(look(each), dtype=np.int8) for each in pictures])
    views = np.stack([np.frombuffer(turned.view(each), dtype=np.int8) for each in pictures])
    small = np.stack([textures.picture(each) for each in pictures])
    some = np.random.default_rng(0).permutation(len(small))[: textures.SAMPLE]
    seen = textures.describe(small, textures.learn(small[some]))
    described = np.concatenate([seen.astype(np.int16), views.astype(np.int16)], axis=1)
    once = time.perf_counter() - began
    shares, tops, k = [], [], int(truth.max()) + 1
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        labels = truth.copy()
        flipped = rng.choice(len(labels), int(FLIPPED * len(labels)), replace=False)
        labels[flipped] = (labels[flipped] + rng.integers(1, k, len(flipped))) % k
        order = np.argsort(doubts.find(looks, labels, described).score)
        shares.append(float(np.isin(flipped, order[: len(labels) // 10]).mean()))
        tops.append(float(np.isin(order[:100], flipped).mean()))
    return shares, tops, once + (time.perf_counter() - began - once) / seeds


def seen(data: list[bytes]) -> list[Seen]:
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(lambda one: look_again(one, LIMITS), data))


def took(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
