"""ConvNeXt tiny: Liu et al., “A ConvNet for the 2020s” (2022)."""

import torch
from torchvision.models import convnext_tiny

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
    (
        "features.6.",
        "features.7.",
    ),
    ("classifier.",),
)


def build(labels: int, image_size: int) -> torch.nn.Module:
    network: torch.nn.Module = convnext_tiny(weights=None, num_classes=labels)
    return network
