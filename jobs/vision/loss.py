"""The loss of a training, for plain labels and for mixed ones, with weights of the labels."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F


def balanced(targets: np.ndarray, labels: int) -> torch.Tensor:
    """Weights (labels,) by which every label counts as much as any other: n / (labels · images of the label).

    The rule of scikit-learn's `class_weight="balanced"`. A label without images has weight 1: nothing uses it
    but label smoothing.
    """
    counts = np.bincount(targets, minlength=labels)
    weights = np.where(counts > 0, len(targets) / (labels * np.maximum(counts, 1)), 1.0)
    return torch.from_numpy(weights).float()


def cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, smoothing: float, weights: torch.Tensor | None
) -> torch.Tensor:
    """Mean loss of logits (n, labels) for targets (n,), or for shares of the labels (n, labels).

    Shares of 0 and 1 give what plain targets give: torch divides the weighted loss of shares by n, this one by
    the sum of the weights, as for plain targets.
    """
    if targets.ndim == 1 or weights is None:
        return F.cross_entropy(logits, targets, weights, label_smoothing=smoothing)
    smooth = targets * (1.0 - smoothing) + smoothing / targets.shape[1]
    return -(smooth * weights * logits.log_softmax(dim=1)).sum() / (targets * weights).sum()


def right(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """How many of the batch were told right; of a mixed image the share that its best label has."""
    best = logits.detach().argmax(dim=1)
    if targets.ndim == 1:
        return (best == targets).sum()
    return targets.gather(1, best[:, None]).sum()
