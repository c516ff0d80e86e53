"""Vision Transformer B/16: Dosovitskiy et al., “An Image is Worth 16x16 Words” (2020)."""

from collections.abc import Mapping
from typing import Any

import torch
from torchvision.models import vit_b_16
from torchvision.models.vision_transformer import interpolate_embeddings

PATCH = 16
"""Side in pixels of the squares into which it cuts an image; the image's side must be a multiple."""
SMALLEST = 32
LAYERS = (
    ("conv_proj.", "class_token", "encoder.pos_embedding"),
    *((f"encoder.layers.encoder_layer_{number}.",) for number in range(11)),
    ("encoder.layers.encoder_layer_11.", "encoder.ln."),
    ("heads.",),
)


def build(labels: int, image_size: int) -> torch.nn.Module:
    """It is built for one image size."""
    network: torch.nn.Module = vit_b_16(weights=None, num_classes=labels, image_size=image_size)
    return network


def adapted(state: Mapping[str, Any], image_size: int) -> dict[str, Any]:
    """Weights of another image size, their places interpolated."""
    if "encoder.pos_embedding" not in state:
        return dict(state)
    return dict(interpolate_embeddings(image_size, PATCH, state))
