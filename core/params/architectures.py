"""Pure. The networks that can be chosen; `jobs.vision.architectures` builds each from a file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.params.fields import N_


@dataclass(frozen=True)
class Architecture:
    title: str
    """What people read: a gettext message."""
    smallest: int = 32
    """Side in pixels of the smallest images it can learn from."""
    multiple: int = 1
    """The side must be a multiple of this."""
    pretrained: bool = True
    """Whether torchvision has weights for it."""


ARCHITECTURES: Mapping[str, Architecture] = {
    "resnet18": Architecture(N_("ResNet-18 – quick, a good first choice")),
    "resnet34": Architecture(N_("ResNet-34 – between ResNet-18 and ResNet-50")),
    "resnet50": Architecture(N_("ResNet-50 – larger, slower, for thousands of images")),
    "efficientnet_b0": Architecture(N_("EfficientNet-B0 – accurate for its size")),
    "efficientnet_v2_s": Architecture(N_("EfficientNet v2 S – larger and more accurate than B0")),
    "mobilenet_v3_small": Architecture(N_("MobileNet v3 small – the fastest of the known ones")),
    "mobilenet_v3_large": Architecture(N_("MobileNet v3 large – fast, more accurate than the small one")),
    "convnext_tiny": Architecture(N_("ConvNeXt tiny – modern and accurate, wants pre-trained weights")),
    "vit_b_16": Architecture(N_("Vision Transformer B/16 – large, wants pre-trained weights"), multiple=16),
    "swin_t": Architecture(N_("Swin Transformer tiny – accurate, wants pre-trained weights")),
    "small_cnn": Architecture(
        N_("Small CNN – four layers, for simple pictures and quick tries"), smallest=16, pretrained=False
    ),
}
