"""EfficientNet-B0: Tan and Le, “EfficientNet: Rethinking Model Scaling” (2019)."""

import torch
from torchvision.models import efficientnet_b0

SMALLEST = 32
LAYERS = (
    ("features.0.",),
    (
        "features.1.",
        "features.2.",
    ),
    ("features.3.",),
    (
        "features.4.",
        "features.5.",
    ),
    ("features.6.",),
    (
        "features.7.",
        "features.8.",
    ),
    ("classifier.",),
)


def build(labels: int, image_size: int) -> torch.nn.Module:
    network: torch.nn.Module = efficientnet_b0(weights=None, num_classes=labels)
    return network
