from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from core.params import Auguments, parse_yaml
from jobs.vision import loss
from jobs.vision.mixing import Mixer

LABELS = 4


def mixer(mixup: float, cutmix: float, seed: int = 3) -> Mixer:
    text = "augmentation: {mixup: {enabled: %s, probability: %s, alpha: 1.0}, cutmix: {enabled: %s, probability: %s}}"
    return Mixer(
        parse_yaml(text % (str(mixup > 0).lower(), mixup, str(cutmix > 0).lower(), cutmix), Auguments),
        seed,
        LABELS,
    )


def batch(n: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Each image has 1 in the channel of its label and 0 elsewhere: its mean is the label's share."""
    targets = torch.arange(n) % LABELS
    images = F.one_hot(targets, LABELS).float()[:, :, None, None].expand(n, LABELS, side, side)
    return images.contiguous(), targets


@given(
    n=st.integers(2, 9),
    side=st.integers(1, 20),
    step=st.integers(0, 2**31),
    chances=st.sampled_from([(1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5)]),
)
def test_labels_are_shared_as_the_pixels_are(
    n: int, side: int, step: int, chances: tuple[float, float]
) -> None:
    images, targets = batch(n, side)
    mixed, shares = mixer(*chances)(images, targets, step)
    assert torch.allclose(shares.sum(dim=1), torch.ones(n))
    assert torch.allclose(mixed.mean(dim=(2, 3)), shares, atol=1e-5)
    again, same = mixer(*chances)(images, targets, step)
    assert torch.equal(again, mixed) and torch.equal(same, shares)


@pytest.mark.parametrize("chances", [(1.0, 0.0), (0.0, 1.0)])
def test_chance_is_of_seed_and_step_alone(chances: tuple[float, float]) -> None:
    images, targets = batch(8, 16)
    state = torch.random.get_rng_state()
    first, _ = mixer(*chances)(images, targets, 5)
    assert not torch.equal(first, images)
    assert not torch.equal(mixer(*chances)(images, targets, 6)[0], first)
    assert not torch.equal(mixer(*chances, seed=4)(images, targets, 5)[0], first)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_without_either_nothing_is_changed() -> None:
    images, targets = batch(8, 16)
    mixed, same = mixer(0, 0)(images, targets, 5)
    assert mixed is images and same is targets


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_of_whole_shares_is_that_of_plain_labels(smoothing: float, weighted: bool) -> None:
    random = torch.Generator().manual_seed(1)
    logits, targets = torch.randn(10, LABELS, generator=random), torch.arange(10) % LABELS
    weights = torch.tensor([0.5, 1.0, 2.0, 4.0]) if weighted else None
    plain = loss.cross_entropy(logits, targets, smoothing, weights)
    assert torch.equal(plain, F.cross_entropy(logits, targets, weights, label_smoothing=smoothing))
    shares = F.one_hot(targets, LABELS).float()
    assert torch.allclose(loss.cross_entropy(logits, shares, smoothing, weights), plain)
    assert float(loss.right(logits, shares)) == int(loss.right(logits, targets))


def test_half_of_each_label_is_half_right() -> None:
    logits = torch.tensor([[5.0, 0.0], [0.0, 5.0]])
    assert float(loss.right(logits, torch.tensor([[0.75, 0.25], [0.5, 0.5]]))) == 1.25


def test_balanced_weights_let_each_label_count_the_same() -> None:
    targets = np.array([0] * 6 + [1] * 3 + [2])
    weights = loss.balanced(targets, 4)
    assert (weights[targets].numpy().sum(), float(weights[3])) == (pytest.approx(10 * 3 / 4), 1.0)
    assert [float(weights[label] * n) for label, n in ((0, 6), (1, 3), (2, 1))] == pytest.approx([2.5] * 3)
