"""Pure. Which small patterns a picture is made of, learnt without labels from the theme's own pictures.

Single-layer k-means features (Coates, Ng and Lee, “An Analysis of Single-Layer Networks in Unsupervised
Feature Learning”, AISTATS 2011): contrast-normalised, ZCA-whitened patches, a dictionary by k-means, the
triangle encoding, sums over quarters of the picture; here of the picture and its mirror image together,
and their square roots. No label has a part in them, so that no wrong label can hide in them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from PIL import Image

SIDE = 32
"""Pixels to which a picture is squeezed."""
PATCH = 6
"""Pixels of a side of a patch; every place is one (stride 1: stride 2 finds a little less in a quarter of the time)."""
VALUES = PATCH * PATCH * 3
WORDS = 200
"""Patterns that are learnt; each counts with its mirror image. Twice as many tell hardly more apart."""
SIZE = 4 * WORDS
"""Bytes of a texture: patterns and mirrored ones, in the upper and in the lower half."""
PATCHES, PER_PICTURE, ROUNDS = 30_000, 60, 10
"""Patches that k-means looks at, at most and of one picture, and its rounds."""
SAMPLE = 4_000
"""Pictures to learn from; more teach no other patterns."""
CONTRAST, EDGE = 10.0, 0.1
"""Variance (of 0–255) added before a patch is normalised, and to every axis before it is whitened; after the paper."""
CHUNK = 2
"""Pictures encoded at a time: more leave the processor's cache and take twice as long."""


@dataclass(frozen=True)
class Dictionary:
    """What `learn` made; float32."""

    mean: np.ndarray
    """VALUES, of normalised patches."""
    whitening: np.ndarray
    """VALUES × VALUES."""
    words: np.ndarray
    """WORDS × VALUES, of whitened patches."""
    peak: float
    """The largest number of a texture before it is made a byte."""

    def packed(self) -> bytes:
        parts = (self.mean, self.whitening, self.words, np.array([self.peak]))
        return b"".join(part.astype("<f4").tobytes() for part in parts)

    @classmethod
    def unpacked(cls, data: bytes) -> Dictionary | None:
        """None where the bytes are of another kind of dictionary."""
        found = np.frombuffer(data, dtype="<f4") if len(data) % 4 == 0 else np.empty(0)
        ends = np.cumsum([VALUES, VALUES * VALUES, WORDS * VALUES])
        if len(found) != ends[-1] + 1:
            return None
        mean, whitening, words, peak = np.split(found, ends)
        return cls(mean, whitening.reshape(VALUES, VALUES), words.reshape(WORDS, VALUES), float(peak[0]))


def picture(image: Image.Image) -> np.ndarray:
    """SIDE × SIDE × 3, uint8, of an image of any size."""
    return np.asarray(
        image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0), dtype=np.uint8
    )


def learn(pictures: np.ndarray, *, seed: int = 0) -> Dictionary:
    """From some `pictures` (n × SIDE × SIDE × 3, uint8; at least one). The same input gives the same answer."""
    rng = np.random.default_rng(seed)
    n = min(PATCHES, PER_PICTURE * len(pictures))
    which = rng.integers(0, len(pictures), n)
    top, left = rng.integers(0, SIDE - PATCH + 1, (2, n))
    patches = _normal(_windows(pictures)[which, top, left].transpose(0, 2, 3, 1).reshape(n, VALUES))
    both = np.concatenate(
        [patches, _mirrored(patches)]
    )  # so that whitening a mirrored patch mirrors the white one
    mean = both.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(both.T))
    whitening = ((axes / np.sqrt(np.maximum(variances, 0) + EDGE)) @ axes.T).astype(np.float32)
    patches = (patches - mean) @ whitening
    # A tenth as long as they are: the first patches then go to words by direction, and none stays alone.
    words = 0.1 * patches[rng.choice(n, WORDS, replace=n < WORDS)]
    for _ in range(ROUNDS):
        nearest = (patches @ words.T - 0.5 * (words**2).sum(axis=1)).argmax(axis=1)
        members = sp.csr_array((np.ones(n, dtype=np.float32), (nearest, np.arange(n))), shape=(WORDS, n))
        counts = np.bincount(nearest, minlength=WORDS)[:, None]
        words = np.where(counts > 0, (members @ patches) / np.maximum(counts, 1), words).astype(np.float32)
    made = Dictionary(mean, whitening, words, 1.0)
    return Dictionary(mean, whitening, words, max(float(_amounts(pictures[:SAMPLE:20], made).max()), 1e-6))


def describe(pictures: np.ndarray, dictionary: Dictionary) -> np.ndarray:
    """Textures (n × SIZE, uint8) of `pictures` (n × SIDE × SIDE × 3, uint8): the same for a mirrored picture."""
    amounts = _amounts(pictures, dictionary)
    return np.clip(np.round(amounts * (255 / dictionary.peak)), 0, 255).astype(np.uint8)


def _amounts(pictures: np.ndarray, dictionary: Dictionary) -> np.ndarray:
    words = np.concatenate([dictionary.words, _mirrored(dictionary.words)])
    weights = (2 * dictionary.whitening @ words.T).astype(np.float32)
    length = ((words**2).sum(axis=1) + dictionary.mean @ weights).astype(np.float32)
    places = SIDE - PATCH + 1
    half = places - places // 2  # halves share the middle row, so that mirroring swaps left and right exactly
    out = np.empty((len(pictures), 2, 2 * WORDS), dtype=np.float32)
    for start in range(0, len(pictures), CHUNK):
        some = _windows(pictures[start : start + CHUNK])
        patches = _normal(some.transpose(0, 1, 2, 4, 5, 3).reshape(-1, VALUES))
        white = (patches - dictionary.mean) @ dictionary.whitening
        distance = length - patches @ weights
        distance += np.einsum("ij,ij->i", white, white)[:, None]
        np.sqrt(np.maximum(distance, 0, out=distance), out=distance)
        near = np.maximum(distance.mean(axis=1, keepdims=True) - distance, 0, out=distance)
        grid = near.reshape(len(some), places, places, 2 * WORDS)
        for row, rows in enumerate((slice(0, half), slice(places - half, places))):
            columns = grid[:, rows].sum(axis=1)
            left, right = columns[:, :half].sum(axis=1), columns[:, places - half :].sum(axis=1)
            # A pattern on the left and its mirror image on the right are one observation.
            out[start : start + CHUNK, row] = left + np.roll(right, WORDS, axis=1)
    return np.sqrt(out.reshape(len(pictures), SIZE))


def _windows(pictures: np.ndarray) -> np.ndarray:
    """n × places × places × 3 × PATCH × PATCH, a view."""
    return np.lib.stride_tricks.sliding_window_view(pictures, (PATCH, PATCH), axis=(1, 2))


def _mirrored(patches: np.ndarray) -> np.ndarray:
    return patches.reshape(-1, PATCH, PATCH, 3)[:, :, ::-1].reshape(-1, VALUES)


def _normal(patches: np.ndarray) -> np.ndarray:
    """Mean 0 and variance about 1, float32, of patches (n × VALUES)."""
    found = patches.astype(np.float32)
    found -= found.mean(axis=1, keepdims=True)
    variance = np.einsum("ij,ij->i", found, found) / VALUES
    found /= np.sqrt(variance + CONTRAST)[:, None]
    return found
