"""Turned pictures, outliers and the map: what the numbers say, and what the real job leaves with the images."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import encoded, picture
from PIL import Image
from sklearn.datasets import load_digits

from core import auth, image_filter, images, splits, themes
from core.errors import InvalidInput, NotAllowed
from core.images import Filter
from core.looks import look
from core.quality import check_jobs, findings, maps, picks, turned, upright
from core.settings import Settings
from core.workbench import Workbench
from tests.core.quality.test_check_jobs import checked


def scans(count: int) -> tuple[list[Image.Image], np.ndarray]:
    found = load_digits()
    made = [
        Image.fromarray((scan * (255 / 16)).astype("uint8")).resize((32, 32), Image.Resampling.BICUBIC)
        for scan in found.images[:count]
    ]
    return made, found.target[:count]


def views_of(pictures: list[Image.Image]) -> np.ndarray:
    return np.stack([np.frombuffer(turned.view(each), dtype=np.int8) for each in pictures])


@given(seed=st.integers(0, 10_000), quarters=st.integers(0, 3))
def test_a_view_turns_as_its_picture_does(seed: int, quarters: int) -> None:
    image = picture(seed, (32, 32))  # as large as a view: nothing is rounded twice
    really = views_of([Image.fromarray(np.rot90(np.asarray(image), quarters))])
    assert np.abs(turned.rotated(views_of([image]), quarters).astype(int) - really).max() <= 1


def test_planted_turned_scans_are_found() -> None:
    pictures, labels = scans(1797)
    rng = np.random.default_rng(1)
    planted = np.zeros(len(pictures), dtype=np.int64)
    planted[rng.choice(len(pictures), 36, replace=False)] = rng.integers(1, 4, 36)
    found = turned.find(
        views_of([each.rotate(90 * int(quarters)) for each, quarters in zip(pictures, planted, strict=True)]),
        labels,
    )
    hits = int(((found.turn == planted) & (planted > 0)).sum())
    named = int((found.turn > 0).sum())
    assert found.trustworthy
    assert hits / 36 >= 0.8 and hits / named >= 0.9


def test_where_nothing_is_up_nobody_is_named() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 32, 32), dtype=np.uint8)
    found = turned.find(views_of([Image.fromarray(each) for each in noise]), np.full(200, -1))
    assert not found.trustworthy


def test_pictures_unlike_all_others_are_named_and_no_more() -> None:
    pictures, _ = scans(400)
    strange = [picture(seed, (32, 32)) for seed in range(4)]
    vectors = np.stack(
        [np.frombuffer(look(each.convert("RGB")), dtype=np.int8) for each in [*pictures, *strange]]
    )
    named = maps.outliers(maps.far(vectors)[0])
    assert named[400:].all() and named.sum() <= 0.02 * len(vectors)
    assert not maps.far(vectors[:20])[0].any()


def test_the_map_is_the_same_each_time_and_stays_when_a_picture_comes() -> None:
    pictures, labels = scans(300)
    vectors = np.stack([np.frombuffer(look(each.convert("RGB")), dtype=np.int8) for each in pictures])
    places = maps.lay_out(vectors)
    assert np.array_equal(places, maps.lay_out(vectors))
    assert places.min() >= 0 and places.max() <= 1
    nearest = np.array([np.argsort(((places - each) ** 2).sum(axis=1))[1] for each in places])
    assert (labels[nearest] == labels).mean() > 0.8
    before = places.copy()
    before[7] = np.nan
    later = maps.lay_out(vectors, before)
    assert np.array_equal(np.delete(later, 7, axis=0), np.delete(places, 7, axis=0))
    assert np.abs(later[7] - places[7]).max() < 0.2
    assert len(maps.lay_out(vectors[:3])) == 3
    ids = np.arange(1, 30_001)
    assert len(maps.chosen(ids)) == maps.MOST
    few = set(ids[maps.chosen(ids)]) - set(np.arange(1, 30_301)[maps.chosen(np.arange(1, 30_301))])
    assert len(few) < 400  # three hundred more pictures change few of those shown


def test_the_job_names_turned_pictures_which_one_press_sets_upright(
    wb: Workbench, trainer: auth.User, labeler: auth.User, viewer: auth.User, settings: Settings
) -> None:
    theme = themes.create(wb, trainer, name="Scans", labels=["2", "3", "4", "7"])
    pictures, labels = scans(700)
    files = []
    for number, (image, digit) in enumerate(zip(pictures, labels, strict=True)):
        if str(digit) in {label.name for label in theme.labels}:
            lies = image.rotate(-90) if number in (51, 57) else image  # clockwise
            files.append((f"{digit}/scan-{number}.png", encoded(lies.convert("RGB"))))
    images.add(wb, trainer, theme.id, files, label_from_folder=True)
    splits.split(wb, trainer, theme.id)
    checked(wb, trainer, theme, settings)
    state = check_jobs.state(wb, theme.id)
    assert state.upright is not None and state.upright > turned.SEES_ENOUGH
    found = images.page(wb, theme.id, Filter(finding="turned")).items
    [first, *_] = [image for image in found if image.file_name.endswith(("-51.png", "-57.png"))]
    assert upright.turns(wb, theme.id, [first.id]) == {first.id: 3}
    with pytest.raises(NotAllowed):
        upright.turn(wb, viewer, theme.id, [first.id])
    with pytest.raises(InvalidInput, match="at most 200"):
        upright.turn(wb, labeler, theme.id, list(range(1, 300)))
    done = upright.turn(wb, labeler, theme.id, [first.id, 999_999])
    after = images.get(wb, theme.id, done[first.id])
    number = int(first.file_name.rpartition("-")[2].partition(".")[0])
    shown = Image.open(io.BytesIO(wb.files.read(after.image_path)))
    assert np.array_equal(np.asarray(shown.convert("L")), np.asarray(pictures[number]))
    assert (after.label_id, after.split, after.file_name) == (first.label_id, first.split, first.file_name)
    assert upright.turn(wb, labeler, theme.id, [first.id]) == {}
    assert findings.entries(wb, theme.id)[0].detail["kind"] == "turned"
    # The second check keeps the map, reads the one new picture, and no longer names it.
    seen = picks.points(wb, theme.id)
    assert seen is not None and first.id not in seen.ids
    checked(wb, trainer, theme, settings)
    again = picks.points(wb, theme.id)
    assert again is not None and set(again.ids) == {*seen.ids, after.id}
    assert dict(zip(again.ids, again.x, strict=True))[seen.ids[0]] == seen.x[0]
    assert upright.turns(wb, theme.id, [after.id]) == {}

    picked = picks.pick(wb, viewer, theme.id, [*again.ids[:5], 999_999])
    which = image_filter.from_query({"picked": picked})
    assert sorted(images.ids(wb, theme.id, which).tolist()) == again.ids[:5]
    assert picks.pick(wb, viewer, theme.id, [999_999, *again.ids[4::-1]]) == picked


def test_selections_that_are_none_are_refused(wb: Workbench, trainer: auth.User, viewer: auth.User) -> None:
    theme = themes.create(wb, trainer, name="Scans")
    with pytest.raises(InvalidInput, match="pick 1 to"):
        picks.pick(wb, viewer, theme.id, [])
    with pytest.raises(InvalidInput, match="open the images from the map again"):
        image_filter.from_query({"picked": "../x"})
    assert picks.points(wb, theme.id) is None
