"""EfficientNet v2 S: Tan and Le, “EfficientNetV2: Smaller Models and Faster Training” (2021)."""

import torch
from torchvision.models import efficientnet_v2_s

SMALLEST = 32
LAYERS = (
    (
        "features.0.",
        "features.1.",
    ),
    ("features.2.",),
    ("features.3.",),
    ("features.4.",),
    ("features.5.",),
    (
        "features.6.",
        "features.7.",
    ),
    ("classifier.",),
)


def build(labels: int, image_size: int) -> torch.nn.Module:
    network: torch.nn.Module = efficientnet_v2_s(weights=None, num_classes=labels)
    return network
