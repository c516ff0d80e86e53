"""Four convolutions and a linear layer: small enough to learn from scratch on a processor."""

import torch
from torch import nn

SMALLEST = 16
WIDTHS = (32, 64, 128, 256)
LAYERS = (("layer1.",), ("layer2.",), ("layer3.",), ("layer4.",), ("head.",))


class SmallCnn(nn.Module):
    def __init__(self, labels: int) -> None:
        super().__init__()
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _layer(before, width) for before, width in zip((3, *WIDTHS), WIDTHS, strict=False)
        )
        self.head = nn.Linear(WIDTHS[-1], labels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: torch.Tensor = self.head(x.mean(dim=(2, 3)))
        return logits


def _layer(before: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)
    )


def build(labels: int, image_size: int) -> torch.nn.Module:
    return SmallCnn(labels)
