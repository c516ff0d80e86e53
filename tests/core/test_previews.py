"""Previews through the real queue and its real worker."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from core import auth, previews, themes
from core.errors import InvalidInput, Unavailable
from core.params import Auguments, Params, parse_yaml
from core.workbench import Workbench
from tests.previewing import preview_worker
from tests.steps import ready_theme

STILL = "augmentation: {rotation: {enabled: false}, crop: {enabled: false}, color_jitter: {enabled: false}}"


def pixels(pictures: tuple[previews.Picture, ...]) -> list[np.ndarray]:
    return [np.asarray(Image.open(io.BytesIO(picture.png))) for picture in pictures]


def test_a_preview_shows_what_the_parameters_do(wb_duckdb: Workbench, admin: auth.User) -> None:
    wb = wb_duckdb
    theme = ready_theme(wb, admin)
    params, auguments = Params(), Auguments()
    with pytest.raises(Unavailable, match="worker that draws previews is not there"):
        previews.ask(wb, theme.id, params, auguments, 0)
    settings = wb.settings
    with preview_worker(settings.data_dir, settings.artifacts_dir, settings.redis_url):
        found = previews.ask(wb, theme.id, params, auguments, 0)
        assert found is not None and len(found.augmented) == 9 and len(found.before) == len(found.after) == 3
        assert len({picture.file_name for picture in found.augmented}) == 9
        assert all(image.shape == (64, 64, 3) for image in pixels(found.augmented))
        assert previews.ask(wb, theme.id, params, auguments, 0) == found
        other = previews.ask(wb, theme.id, params, auguments, 1)
        assert other is not None and other.augmented != found.augmented and other.after == found.after

        gray = parse_yaml(f"{STILL}\npreprocessing: {{grayscale: true}}", Auguments)
        shown = previews.ask(wb, theme.id, params, gray, 0)
        assert shown is not None and shown.before == found.before
        assert all(np.ptp(image, axis=2).max() == 0 for image in pixels(shown.after))
        # Without random changes a training sees what preprocessing leaves.
        assert all(map(np.array_equal, pixels(shown.augmented)[:3], pixels(shown.after)))
        with pytest.raises(InvalidInput, match="images are brought to 64"):
            patched = parse_yaml("preprocessing: {patching: {enabled: true, size: 96}}", Auguments)
            previews.ask(wb, theme.id, params, patched, 0)

        empty = themes.create(wb, admin, name="Empty", labels=["a", "b"])
        assert previews.ask(wb, empty.id, params, auguments, 0) is None


def test_few_images_come_again_with_other_chance_and_broken_ones_are_left_out(
    wb_duckdb: Workbench, admin: auth.User
) -> None:
    from pictures import png

    from core import images

    wb = wb_duckdb
    theme = themes.create(wb, admin, name="Two", labels=["a", "b"])
    images.add(
        wb, admin, theme.id, [(f"a/{n}.png", png(n, (8, 8))) for n in range(2)], label_from_folder=True
    )
    newest = images.page(wb, theme.id).items[0]
    settings = wb.settings
    with preview_worker(settings.data_dir, settings.artifacts_dir, settings.redis_url):
        found = previews.ask(wb, theme.id, Params(), Auguments(), 0)
        assert found is not None and len(found.before) == 2
        assert len({picture.png for picture in found.augmented}) == 9
        wb.files.write(newest.image_path, b"no image")
        left = previews.ask(wb, theme.id, Params(), Auguments(), 0)
        assert left is not None and newest.id not in {picture.image_id for picture in left.augmented}
        assert len(left.augmented) == 9
        for image in images.page(wb, theme.id).items:
            wb.files.write(image.image_path, b"no image")
        with pytest.raises(InvalidInput, match="None of the theme's newest images can be read"):
            previews.ask(wb, theme.id, Params(), Auguments(), 0)
