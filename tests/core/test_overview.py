"""Checks of labels are blind and counted once; pace and curve points come from what was done."""

from __future__ import annotations

import pytest
from pictures import png

from core import auth, images, label_checks, labelling, overview, themes
from core.errors import InvalidInput
from core.images import in_audit_slice
from core.labelling import Action
from core.workbench import Workbench


@pytest.fixture
def theme(wb: Workbench, trainer: auth.User) -> themes.Theme:
    made = themes.create(wb, trainer, name="Animals", labels=["cat", "dog"])
    images.add(wb, trainer, made.id, [(f"{n}.png", png(n, (4, 4))) for n in range(150)])
    ids = [image.id for image in images.page(wb, made.id).items]
    images.label(wb, trainer, made.id, [(i, made.labels[0].id) for i in ids])
    return made


def test_checks_are_of_the_slice_and_change_no_label(
    wb: Workbench, trainer: auth.User, labeler: auth.User, theme: themes.Theme
) -> None:
    cat, dog = (label.id for label in theme.labels)
    slice_ = {image.id for image in images.page(wb, theme.id).items if in_audit_slice(image)}
    images.label(wb, labeler, theme.id, [(min(slice_), dog)])
    asked = label_checks.to_check(wb, labeler, theme.id)
    assert set(asked) == slice_
    assert asked[-1] == min(slice_)  # one's own labels come last
    first, *rest = asked
    answers = [(first, dog), *((i, cat) for i in rest[:-1]), (asked[-1], dog)]
    assert label_checks.answer(wb, labeler, theme.id, answers) == len(asked)
    assert label_checks.to_check(wb, labeler, theme.id) == []
    found = label_checks.rate(wb, theme.id)
    assert (found.n, found.wrong) == (len(asked), 1)
    assert found.low <= 1 / len(asked) <= found.high
    [doubt] = label_checks.doubts(wb, theme.id)
    assert (doubt.image.id, doubt.label_id, doubt.answer_id) == (first, cat, dog)
    images.label(wb, trainer, theme.id, [(first, dog)])
    assert label_checks.doubts(wb, theme.id) == []
    assert label_checks.to_check(wb, labeler, theme.id) == [first]  # a new label may be checked anew


def test_the_interval_is_wilsons() -> None:
    # Newcombe 1998, table I: 81 of 263, 95 % score interval without correction 0.2553 to 0.3662.
    found = label_checks.interval(263, 81)
    assert (found.low, found.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))
    assert label_checks.interval(0, 0) == label_checks.Rate(0, 0, 0.0, 1.0)


def test_an_answer_must_be_a_label(wb_duckdb: Workbench, labeler: auth.User, trainer: auth.User) -> None:
    theme = themes.create(wb_duckdb, trainer, name="T", labels=["a"])
    with pytest.raises(InvalidInput, match="labels"):
        label_checks.answer(wb_duckdb, labeler, theme.id, [(1, 999)])


def test_pace_counts_what_people_did_by_hand(
    wb: Workbench, trainer: auth.User, labeler: auth.User, theme: themes.Theme
) -> None:
    ids = sorted(image.id for image in images.page(wb, theme.id).items)
    dog = theme.labels[1].id
    labelling.act(wb, labeler, theme.id, [Action("p-1-aaaaaa", [(i, dog) for i in ids[:4]], seconds=8.0)])
    found = {(each.person, each.labels) for each in overview.pace(wb, theme.id)}
    assert found == {("labeler", 4), ("trainer", 150)}
    assert overview.seconds_per_label(wb, theme.id) == pytest.approx(2.0)
    assert overview.curve_points(wb, theme.id) == []
