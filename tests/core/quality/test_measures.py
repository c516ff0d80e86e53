from __future__ import annotations

import io

import numpy as np
import pytest
from pictures import encoded, picture
from PIL import Image, ImageFilter

from core.images_io import Limits, inspect, look_again
from core.quality.measures import measure

LIMITS = Limits(10_000_000, 100_000_000)


def flat(level: int, size: tuple[int, int] = (64, 64)) -> Image.Image:
    return Image.new("RGB", size, (level, level, level))


def test_a_blank_image_has_no_contrast_no_entropy_no_edges_no_colour() -> None:
    found = measure(flat(200))
    assert (found.contrast, found.entropy, found.sharpness, found.colour) == (0, 0, 0, 0)
    assert found.shade == found.light == 200


def test_brightness_quantiles_and_entropy_are_those_of_the_pixels() -> None:
    levels = np.repeat(np.arange(0, 256, 4, dtype=np.uint8), 64).reshape(64, 64)
    found = measure(Image.fromarray(levels).convert("RGB"))
    assert found.entropy == pytest.approx(6.0)  # 64 levels, equally often
    assert found.shade == np.quantile(levels, 0.05, method="inverted_cdf")
    assert found.light == np.quantile(levels, 0.99, method="inverted_cdf")
    assert found.contrast == pytest.approx(levels.std(), abs=0.01)


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    image = picture(3, (200, 100))
    grey = np.asarray(image.convert("YCbCr").getchannel(0), dtype=float)
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    laplace = around - 4 * grey[1:-1, 1:-1]
    assert np.abs(laplace).max() < 128  # so nothing is cut
    assert measure(image).sharpness == pytest.approx(laplace.var())
    assert measure(image.filter(ImageFilter.GaussianBlur(2))).sharpness < measure(image).sharpness
    assert measure(Image.new("RGB", (2, 1))).sharpness == 0


def test_grey_is_told_from_colour() -> None:
    assert measure(picture(1).convert("L").convert("RGB")).colour <= 1
    assert measure(picture(1)).colour > 20


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_second_look_finds_what_the_first_found(kind: str) -> None:
    for size in ((24, 16), (700, 900)):
        data = encoded(picture(5, size), kind)
        first, second = inspect(data, LIMITS), look_again(data, LIMITS)
        assert (first.phash, first.look, first.measures) == (second.phash, second.look, second.measures)


def test_the_same_picture_larger_measures_about_the_same() -> None:
    image = Image.open(io.BytesIO(encoded(picture(8, (512, 384)))))
    small, large = (
        inspect(encoded(image.resize(size)), LIMITS).measures for size in ((512, 384), (1024, 768))
    )
    assert large.light == pytest.approx(small.light, abs=3)
    assert large.entropy == pytest.approx(small.entropy, abs=0.2)
