"""MobileNet v3 large: Howard et al., “Searching for MobileNetV3” (2019)."""

import torch
from torchvision.models import mobilenet_v3_large

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
        "features.6.",
    ),
    (
        "features.7.",
        "features.8.",
        "features.9.",
        "features.10.",
    ),
    (
        "features.11.",
        "features.12.",
    ),
    (
        "features.13.",
        "features.14.",
        "features.15.",
    ),
    ("features.16.",),
    ("classifier.",),
)


def build(labels: int, image_size: int) -> torch.nn.Module:
    network: torch.nn.Module = mobilenet_v3_large(weights=None, num_classes=labels)
    return network
