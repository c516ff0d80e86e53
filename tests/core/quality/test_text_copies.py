"""Copies are found in English, Japanese and Korean, and every link of a cluster is a true one."""

from __future__ import annotations

import random
import re
import unicodedata
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.quality.texts import copies
from core.quality.texts.shingles import CHARACTERS, WORDS, shingles
from core.texts.records import Record

SCRIPTS = {
    "en": "abcdefghijklmnopqrstuvwxyz",
    "ja": "".join(map(chr, [*range(0x3041, 0x3094), *range(0x30A1, 0x30F4), *range(0x4E00, 0x5200)])),
    "ko": "".join(map(chr, range(0xAC00, 0xD000, 7))),
}


def plain_shingles(text: str) -> set[tuple[str, ...]]:
    """The same sets without numpy, as an independent second answer."""
    text = unicodedata.normalize("NFKC", text).lower()
    alone = "[\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]"
    tokens = re.findall(rf"{alone}|(?:(?!{alone})[^\W_])+", text)
    characters = sum(bool(re.fullmatch(alone, token)) for token in tokens)
    size = CHARACTERS if 2 * characters > len(tokens) else WORDS
    return {tuple(tokens[n : n + size]) for n in range(max(len(tokens) - size + 1, 1))} if tokens else set()


def jaccard(a: str, b: str) -> float:
    one, two = plain_shingles(a), plain_shingles(b)
    return len(one & two) / len(one | two)


def write(rng: random.Random, language: str, n: int = 200) -> list[str]:
    letters = SCRIPTS[language]
    length = (1, 1) if language == "ja" else (2, 7)
    return ["".join(rng.choices(letters, k=rng.randint(*length))) for _ in range(n)]


def changed(rng: random.Random, words: list[str], language: str, edits: int) -> list[str]:
    words = list(words)
    for _ in range(edits):
        words[rng.randrange(len(words))] = write(rng, language, 1)[0]
    return words


@pytest.mark.parametrize("language", SCRIPTS)
def test_planted_pairs_at_the_threshold_are_found_and_no_others(language: str) -> None:
    rng = random.Random(language)
    between = "" if language == "ja" else " "
    texts: list[str] = []
    expected: set[tuple[int, int]] = set()
    edges = 0
    while len(expected) < 150:
        first = write(rng, language)
        a, b = between.join(first), between.join(changed(rng, first, language, rng.randint(1, 4)))
        score = jaccard(a, b)
        if score >= 0.95:
            expected.add((len(texts), len(texts) + 1))
        edges += 0.92 < score < 0.97
        texts += [a, b]
    found = copies.near_clusters(texts)
    assert edges > 50
    assert set(found) <= expected
    assert len(found) >= 0.95 * len(expected)


@given(st.lists(st.text("abあい 가.", min_size=0, max_size=12), min_size=2, max_size=12))
@settings(deadline=None)
def test_every_link_is_true(texts: list[str]) -> None:
    for threshold in (0.5, 0.8):
        for cluster in copies.near_clusters(texts, threshold):
            reached = {cluster[0]}
            for _ in cluster:
                reached |= {b for a in reached for b in cluster if jaccard(texts[a], texts[b]) >= threshold}
            assert reached == set(cluster)


@settings(deadline=None)
@given(st.text("abcÉあいカｶ漢字가나 .,-\n1２", max_size=40))
def test_hashed_shingles_are_the_shingles(text: str) -> None:
    made = shingles([text, "other words here"])
    assert len(made.of(0)) == len(plain_shingles(text))


def test_case_width_punctuation_and_space_do_not_count() -> None:
    texts = [
        "Hello, World! 12",
        "ｈｅｌｌｏ world 1２",
        "東京の、天気は？",
        "東京の天気は",
        "서울 날씨.",
        "서울날씨",
        "?!",
        "…",
    ]
    records = [Record.pair(text, "") for text in texts]
    found = copies.exact(records)
    assert found.clusters == ((0, 1), (2, 3), (4, 5))
    assert found.rate == 3 / 8
    assert found.findings[0].text() == "The same text as in line 1."
    assert copies.near(records).clusters == found.clusters


def test_a_large_group_of_the_same_template_is_one_cluster() -> None:
    rng = random.Random(3)
    body = write(rng, "en", 400)
    texts = [" ".join([*body, f"n{n}"]) for n in range(500)] + [" ".join(write(rng, "en", 400))]
    assert copies.near_clusters(texts) == [tuple(range(500))]


def test_the_chance_to_miss_a_pair_is_what_is_said() -> None:
    for threshold in (0.5, 0.7, 0.8, 0.9, 0.95, 0.99):
        number, rows = copies.bands(threshold)
        assert number * rows <= copies.PERMUTATIONS
        assert 1 - (1 - threshold**rows) ** number >= copies.SURE
    assert copies.near_clusters([]) == []
    with pytest.raises(InvalidInput, match="The threshold must lie"):
        copies.near_clusters(["a"], 0.2)


def test_signatures_estimate_jaccard() -> None:
    rng = random.Random(1)
    words = write(rng, "en", 300)
    texts = [" ".join(changed(rng, words, "en", edits)) for edits in (0, 2, 5, 10, 20)]
    made = shingles(texts)
    signatures = copies._signatures(made, np.arange(len(texts)))
    for a, b in combinations(range(len(texts)), 2):
        assert (signatures[a] == signatures[b]).mean() == pytest.approx(jaccard(texts[a], texts[b]), abs=0.15)
