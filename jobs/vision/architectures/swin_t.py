"""Swin Transformer tiny: Liu et al., “Swin Transformer” (2021)."""

import torch
from torchvision.models import swin_t

SMALLEST = 32
LAYERS = (
    (
        "features.0.",
        "features.1.",
    ),
    (
        "features.2.",
        "features.3.",
    ),
    (
        "features.4.",
        "features.5.",
    ),
    ("features.6.", "features.7.", "norm."),
    ("head.",),
)


def build(labels: int, image_size: int) -> torch.nn.Module:
    network: torch.nn.Module = swin_t(weights=None, num_classes=labels)
    return network
