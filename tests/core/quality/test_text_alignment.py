"""Shuffled lines are found from nothing but the data, and nothing is claimed where there is too little."""

from __future__ import annotations

import random

import numpy as np
import pytest

from core.quality.texts import alignment, copies
from core.texts.records import Record

HANGUL = "".join(map(chr, range(0xAC00, 0xD000, 61)))
KANA = [chr(c) for c in range(0x3042, 0x3093) if chr(c).isalpha()]


def corpus(n: int, seed: int = 0, letters: str = "bdfgklmnprstaeiou") -> tuple[list[str], list[str]]:
    """Sentences of two made-up languages with one dictionary, frequencies after Zipf, and another word order."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(letters, k=rng.randint(3, 7))) for _ in range(1_500)]
    other = ["".join(rng.choices(KANA, k=rng.randint(2, 4))) for _ in words]
    weights = [1 / (rank + 5) for rank in range(len(words))]
    chosen = [rng.choices(range(len(words)), weights, k=rng.randint(5, 12)) for _ in range(n)]
    sources = [" ".join(words[w] for w in some) for some in chosen]
    targets = ["".join(other[w] for w in sorted(some, reverse=True)) + "。" for some in chosen]
    return sources, targets


def shuffle(targets: list[str], share: float, seed: int = 0) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(seed)
    moved = rng.choice(len(targets), int(len(targets) * share), replace=False)
    out = list(targets)
    for to, of in zip(moved, rng.permutation(moved), strict=True):
        out[to] = targets[of]
    return out, np.array([a != b for a, b in zip(out, targets, strict=True)])


def test_a_quarter_of_shuffled_lines_is_found_among_copies() -> None:
    sources, targets = corpus(3_000)
    targets, wrong = shuffle(targets, 0.25)
    order = [*range(3_000), *range(0, 3_000, 4)]
    records = [Record.pair(sources[n], targets[n]) for n in order]
    result = alignment.check(records)
    found = np.zeros(len(records), bool)
    found[[f.record for f in result.findings if f.kind == "misaligned"]] = True
    expected = wrong[order]
    assert (found & expected).sum() / expected.sum() >= 0.9
    assert (found & expected).sum() / found.sum() >= 0.9
    assert result.aligned == pytest.approx(0.75, abs=0.03)
    assert copies.exact(records).rate == pytest.approx(0.2, abs=0.001)
    assert alignment.check(records).findings == result.findings


def test_right_pairs_are_hardly_ever_doubted() -> None:
    sources, targets = corpus(2_000, seed=1)
    assert alignment.shuffled(sources, targets).mean() <= 0.01


def test_where_nothing_can_be_learnt_nothing_is_claimed() -> None:
    sources, targets = corpus(2_000)
    few = alignment.check([Record.pair(s, t) for s, t in zip(sources[:50], targets[:50], strict=True)])
    assert few.findings == []
    assert few.not_checked[0].endswith("that takes 1,000 pairs and more.")
    random.Random(0).shuffle(targets)
    chaos = alignment.check([Record.pair(s, t) for s, t in zip(sources, targets, strict=True)])
    assert not any(f.kind == "misaligned" for f in chaos.findings)
    assert chaos.not_checked[0].startswith("Not checked")
    assert alignment.check([]).aligned == 1.0


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [
        ("See https://a.example/x now", "今すぐ https://a.example/x を見て", ""),
        ("See https://a.example/x now", "今すぐ見て", "lost-link"),
        ("Hello {name}, 50%", "こんにちは {name} さん、50%", ""),
        ("Hello {name}", "こんにちは", "lost-mark"),
        ("It costs 1,250 yen", "１２５０円です", ""),
        ("It costs 1,250 yen", "九百円です", ""),
        ("I owe him 50,000 yen", "彼に５万円を借りている", ""),
        ("It has 25 thousand people", "2万5千人がいる", ""),
        ("It has 2 million people", "300만 명이 산다", "lost-number"),
        ("It costs 1,250 yen", "高いです", "lost-number"),
        ("It costs 1,250 yen", "1,350円です", "lost-number"),
        ("I have 2 cats", "猫を二匹飼っています", ""),
        ("The weather is fine", "The weather is fine!", "untranslated"),
        ("A4", "A4!", ""),
        ("", "空", ""),
    ],
)
def test_what_has_to_be_carried_over(source: str, target: str, kind: str) -> None:
    found = [f.kind for f in alignment.check([Record.pair(source, target)]).findings]
    assert found == ([kind] if kind else [])


def test_odd_lengths_are_measured_by_the_data_itself() -> None:
    sources, targets = corpus(200)
    targets[7] *= 8
    targets[9] = targets[9][:1]
    assert np.flatnonzero(alignment.odd_lengths(sources, targets)).tolist() == [7, 9]
