from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import scene
from PIL import Image, ImageEnhance

from core import looks
from core.quality import twins


def every_pair(hashes: np.ndarray, radius: int) -> set[tuple[int, int]]:
    near = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= radius
    return {(i, j) for i, j in np.argwhere(near).tolist() if i < j}


@pytest.mark.parametrize("radius", [0, 1, 3, 4, 7, 8, 11])
def test_the_index_finds_exactly_the_pairs_within_the_radius(radius: int) -> None:
    rng = np.random.default_rng(radius)
    base = rng.integers(0, 2**63, 300, dtype=np.uint64)
    near = base.copy()
    for _ in range(radius + 1):  # some pairs just within, some just beyond
        near ^= np.uint64(1) << rng.integers(0, 64, 300, dtype=np.uint64)
    hashes = np.unique(np.concatenate([base, near]))
    assert {tuple(pair) for pair in twins.within(hashes, radius).tolist()} == every_pair(hashes, radius)


@given(st.lists(st.integers(0, 15), min_size=1, max_size=40), st.integers(0, 4))
def test_equal_hashes_are_pairs_like_others(values: list[int], radius: int) -> None:
    hashes = np.array(values, dtype=np.uint64) * np.uint64(0x1111)
    assert {tuple(pair) for pair in twins.within(hashes, radius).tolist()} == every_pair(hashes, radius)


def test_thousands_that_are_nearly_the_same_are_one_cluster_without_millions_of_pairs() -> None:
    rng = np.random.default_rng(5)
    film = np.uint64(0x0F0F_F0F0_1234_5678) ^ (np.uint64(1) << rng.integers(0, 64, 6_000, dtype=np.uint64))
    others = rng.integers(0, 2**63, 2_000, dtype=np.uint64)
    hashes = np.concatenate([film, others])
    pairs = twins.within(hashes, 10)
    assert len(pairs) <= twins.MOST * len(hashes)
    sets = twins.Clusters()
    for one, two in pairs.tolist():
        sets.join(one, two)
    assert len({sets.find(i) for i in range(6_000)}) == 1
    assert len(twins.between(film[:100], hashes, 10)) == 100 * twins.MOST


def test_between_compares_new_ones_with_all_that_are_there() -> None:
    known = twins.bits(["00000000000000ff", "ffffffffffffffff"])
    assert twins.between(twins.bits(["000000000000003f"]), known, 2).tolist() == [[0, 0]]
    assert twins.between(twins.bits([]), known, 2).shape == (0, 2)


def test_bonds_join_groups_and_clusters() -> None:
    bonds = twins.bonds_of([(1, "a", None), (2, "a", 5), (3, None, 5), (4, "b", None), (5, None, None)])
    assert bonds == {1: 1, 2: 1, 3: 1}


def seen(images: list[Image.Image]) -> np.ndarray:
    vectors = np.stack([np.frombuffer(looks.look(image), dtype=np.int8) for image in images]).astype(
        np.float32
    )
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


@pytest.mark.parametrize("factor", [0.6, 1.2, 1.5, 1.7])
def test_a_picture_whose_sky_became_white_is_still_the_same(factor: float) -> None:
    scenes = [scene(seed) for seed in range(40)]
    changed = [ImageEnhance.Brightness(each).enhance(factor) for each in scenes]
    assert looks.same(seen(scenes), seen(changed), 0.97).all()
    assert looks.same(seen(changed), seen(scenes), 0.97).all()
    assert not looks.same(seen(scenes), seen(changed[1:] + changed[:1]), 0.97).any(), "others are others"
