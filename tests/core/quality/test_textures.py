"""Textures tell apart what differs in small patterns only, and know nothing of labels, mirrors and bytes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from core.quality import doubts, textures

SIDE = textures.SIDE


def stripes(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of lines in three directions at random places, in random colours; and which direction."""
    direction = rng.integers(0, 3, n)
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    pictures = np.empty((n, SIDE, SIDE, 3), dtype=np.uint8)
    for number, which in enumerate(direction):
        along = (x, y, x + y)[which] + rng.integers(0, 6)
        shade = (
            60 * (along % 6 < 3)[..., None] + rng.integers(30, 160, 3) + rng.normal(0, 20, (SIDE, SIDE, 3))
        )
        pictures[number] = np.clip(shade, 0, 255)
    return pictures, direction


@pytest.fixture(scope="module")
def made() -> tuple[np.ndarray, np.ndarray, textures.Dictionary]:
    pictures, direction = stripes(150, np.random.default_rng(0))
    return pictures, direction, textures.learn(pictures)


def test_a_mirrored_picture_has_the_same_texture(
    made: tuple[np.ndarray, np.ndarray, textures.Dictionary],
) -> None:
    pictures, _, dictionary = made
    found = textures.describe(pictures[:20], dictionary).astype(int)
    assert found.shape == (20, textures.SIZE) and found.max() > 100
    assert np.abs(textures.describe(pictures[:20, :, ::-1], dictionary) - found).max() <= 1
    upside_down = textures.describe(pictures[:20, ::-1], dictionary)
    assert np.abs(upside_down - found).max() > 20


def test_a_dictionary_survives_being_packed_and_other_bytes_are_none(
    made: tuple[np.ndarray, np.ndarray, textures.Dictionary],
) -> None:
    pictures, _, dictionary = made
    again = textures.Dictionary.unpacked(dictionary.packed())
    assert again is not None
    assert np.array_equal(textures.describe(pictures[:9], again), textures.describe(pictures[:9], dictionary))
    assert textures.Dictionary.unpacked(b"") is None
    assert textures.Dictionary.unpacked(dictionary.packed()[:-4]) is None
    assert textures.learn(pictures).packed() == dictionary.packed()


def test_blank_pictures_and_a_single_one_have_textures() -> None:
    blank = np.zeros((1, SIDE, SIDE, 3), dtype=np.uint8)
    assert np.isfinite(textures.describe(blank, textures.learn(blank))).all()
    assert textures.picture(Image.new("L", (1, 700), 9)).shape == (SIDE, SIDE, 3)


def test_wrong_labels_that_a_network_learnt_by_heart_are_found_by_textures(
    made: tuple[np.ndarray, np.ndarray, textures.Dictionary],
) -> None:
    pictures, direction, dictionary = made
    rng = np.random.default_rng(2)
    labels = direction.copy()
    flipped = rng.choice(len(labels), 15, replace=False)
    labels[flipped] = (labels[flipped] + 1) % 3
    seen = textures.describe(pictures, dictionary)
    # Embeddings that repeat the given labels of two thirds of the images, and know nothing of the others.
    learnt = np.arange(len(labels)) % 3 > 0
    vectors = rng.normal(size=(len(labels), 8))
    vectors[learnt, :3] += 8 * np.eye(3)[labels[learnt]]
    alone = doubts.find(vectors, labels)
    assert np.isin(np.argsort(alone.score)[:20], flipped).mean() < 0.5
    found = doubts.find(vectors, labels, seen, learnt)
    assert np.isin(flipped, np.argsort(found.score)[:20]).mean() >= 0.9
