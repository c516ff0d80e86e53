"""Takes the colours away."""

import numpy as np
from PIL import Image


def apply(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))
