"""How fast the checks of texts are, and how much they find and miss.

    python -m benchmarks.text_quality                    # copies, beside datasketch, and personal data
    python -m benchmarks.text_quality --data FOLDER       # also enja/ in it: a quarter of the lines shuffled

Prints a table; the last line is JSON. Seconds of wall time with the cores that the machine leaves; where
others work too, seconds of processor time (in brackets) say more.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from core.quality.texts import alignment, copies, pii, shingles

DOCUMENTS = 20_000
TOKENS = 300
PLANTED = 2_000
"""Pairs just above the threshold; and sentences with personal data or look-alikes."""
PII_MEGABYTES = 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, help="folder that holds enja/train.en and enja/train.ja, or a file in it"
    )
    data = parser.parse_args().data
    if data is not None and data.is_file():  # as `make bench` names one file for all
        data = data.parent
    figures: dict[str, Any] = {}
    figures |= minhash()
    figures |= personal_data()
    if data is not None and (data / "enja" / "train.en").exists():
        figures |= shuffled(data / "enja")
    else:
        print("no enja/train.en under --data: shuffled lines were not tried")
    print(json.dumps({"benchmark": "text_quality", **{k: round(v, 4) for k, v in figures.items()}}))


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """(result, seconds by the wall, by the processor)."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def row(what: str, value: str, target: str = "") -> None:
    print(f"{what:76} {value:>34}  {target}")


def documents(n: int) -> list[str]:
    """English-like: Zipf's frequencies over 20,000 words."""
    rng = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    words = np.array(["".join(rng.choice(letters, rng.integers(2, 9))) for _ in range(20_000)])
    return [" ".join(some) for some in words[np.minimum(rng.zipf(1.3, (n, TOKENS)), len(words)) - 1]]


def minhash() -> dict[str, float]:
    texts = documents(DOCUMENTS)
    rng = random.Random(0)
    pairs: set[tuple[int, int]] = set()
    for first in range(PLANTED):
        words = texts[first].split()
        for place in rng.sample(range(TOKENS), rng.randint(1, 3)):
            words[place] = f"new{rng.randrange(10**6)}"
        changed = " ".join(words)
        both = shingles.shingles([texts[first], changed])
        a, b = both.of(0), both.of(1)
        common = len(np.intersect1d(a, b))
        if common / (len(a) + len(b) - common) >= copies.THRESHOLD:
            pairs.add((first, len(texts)))
        texts.append(changed)
    copies.near_clusters(texts[:10])  # tables are made once
    found, wall, cpu = timed(lambda: copies.near_clusters(texts))
    got = {(cluster[0], other) for cluster in found for other in cluster[1:]}
    recall, wrong = len(got & pairs) / len(pairs), len(got - pairs)
    speed = len(texts) / wall
    row(
        f"near copies, {len(texts):,} documents of {TOKENS} words, text to clusters",
        f"{speed:,.0f}/s ({len(texts) / cpu:,.0f})",
        "≥ 10,000",
    )
    row(
        f"{len(pairs):,} planted pairs at Jaccard ≥ {copies.THRESHOLD}: found; others",
        f"{recall:.4f}; {wrong}",
        "≥ 0.95; 0",
    )
    some = texts[:2_000]
    _, other, other_cpu = timed(lambda: datasketch(some))
    row(
        "the same by datasketch: signatures and LSH, nothing verified",
        f"{len(some) / other:,.0f}/s ({len(some) / other_cpu:,.0f})",
    )
    return {
        "minhash_docs_per_s": speed,
        "minhash_docs_per_cpu_s": len(texts) / cpu,
        "minhash_recall": recall,
        "minhash_false": wrong,
        "datasketch_docs_per_s": len(some) / other,
        "datasketch_docs_per_cpu_s": len(some) / other_cpu,
    }


def datasketch(texts: list[str]) -> int:
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=copies.THRESHOLD, num_perm=copies.PERMUTATIONS)
    pairs = 0
    for number, text in enumerate(texts):
        words = text.lower().split()
        size = shingles.WORDS
        made = MinHash(copies.PERMUTATIONS)
        made.update_batch([" ".join(words[n : n + size]).encode() for n in range(len(words) - size + 1)])
        pairs += len(index.query(made))
        index.insert(str(number), made)
    return pairs


def personal_data() -> dict[str, float]:
    sys.path.insert(0, os.getcwd())
    from tests.core.quality.planted_pii import planted

    examples = planted(PLANTED)
    right = missed = wrong = 0
    for example, spans in zip(examples, pii.scan([e.text for e in examples]), strict=True):
        expected, found = set(example.spans), {(s.start, s.end, s.kind) for s in spans}
        right += len(expected & found)
        missed += len(expected - found)
        wrong += len(found - expected)
    recall, precision = right / (right + missed), right / (right + wrong)
    # prose in three languages with a planted sentence among twenty
    rng = random.Random(0)
    prose = {
        "en": "The committee met on Tuesday to talk about the plans for the new library in the old town. ",
        "ja": "委員会は火曜日に集まり、旧市街に建てる新しい図書館の計画について話し合いました。",
        "ko": "위원회는 화요일에 모여 구시가지에 지을 새 도서관 계획에 대해 이야기를 나누었습니다. ",
    }
    texts: list[str] = []
    size = 0
    while size < PII_MEGABYTES * 1_000_000:
        text = prose[rng.choice(list(prose))] * rng.randint(2, 8)
        texts.append(text + rng.choice(examples).text if rng.random() < 0.05 else text)
        size += len(texts[-1].encode())
    _, wall, cpu = timed(lambda: pii.scan(texts))
    speed = size / 1e6 / wall
    row("personal data, one text in twenty has some", f"{speed:.1f} MB/s ({size / 1e6 / cpu:.1f})", "≥ 5")
    row(
        f"{PLANTED:,} planted in ko, ja, en: recall; precision",
        f"{recall:.4f}; {precision:.4f}",
        "≥ 0.98; ≥ 0.98",
    )
    return {
        "pii_mb_per_s": speed,
        "pii_mb_per_cpu_s": size / 1e6 / cpu,
        "pii_recall": recall,
        "pii_precision": precision,
    }


def shuffled(folder: Path) -> dict[str, float]:
    sources = (folder / "train.en").read_text("utf-8").splitlines()
    right = [line.replace(" ", "") for line in (folder / "train.ja").read_text("utf-8").splitlines()]
    figures: dict[str, float] = {}
    for share in (0.25, 0.05, 0.0):
        rng = np.random.default_rng(0)
        moved = rng.choice(len(right), int(len(right) * share), replace=False)
        targets = list(right)
        for to, of in zip(moved, rng.permutation(moved), strict=True):
            targets[to] = right[of]
        wrong = np.array([a != b for a, b in zip(targets, right, strict=True)])
        found, wall, cpu = timed(lambda: alignment.shuffled(sources, targets))  # noqa: B023 — called at once
        recall = float((found & wrong).sum() / max(wrong.sum(), 1))
        precision = float((found & wrong).sum() / max(found.sum(), 1))
        what = f"{len(right):,} en–ja pairs, {share:.0%} shuffled: "
        if share:
            row(
                what + "recall; precision",
                f"{recall:.3f}; {precision:.3f}",
                "≥ 0.9; ≥ 0.9" if share == 0.25 else "",
            )
            figures |= {f"shuffled_{share}_recall": recall, f"shuffled_{share}_precision": precision}
        else:
            row(what + "doubted", f"{found.mean():.4f}")
            figures["shuffled_0_doubted"] = float(found.mean())
    row("the last took", f"{wall:.1f} s ({cpu:.1f})")
    return figures


if __name__ == "__main__":
    main()
