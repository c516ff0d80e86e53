"""ResNet-18: He et al., “Deep Residual Learning for Image Recognition” (2015)."""

import torch
from torchvision.models import resnet18

SMALLEST = 32
LAYERS = (("conv1.", "bn1."), ("layer1.",), ("layer2.",), ("layer3.",), ("layer4.",), ("fc.",))


def build(labels: int, image_size: int) -> torch.nn.Module:
    network: torch.nn.Module = resnet18(weights=None, num_classes=labels)
    return network
