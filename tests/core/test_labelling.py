"""Actions: done once whatever is sent how often, taken back exactly, one refused leaves the others."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import auth, images, labelling, themes
from core.errors import InvalidInput
from core.labelling import Action
from core.workbench import Workbench
from tests.pictures import png


@pytest.fixture
def theme(wb: Workbench, trainer: auth.User) -> themes.Theme:
    made = themes.create(wb, trainer, name="Animals", labels=["cat", "dog"])
    images.add(wb, trainer, made.id, [(f"{n}.png", png(seed=n)) for n in range(6)])
    return made


def labels_now(wb: Workbench, theme: themes.Theme) -> dict[int, int | None]:
    return {image.id: image.label_id for image in images.page(wb, theme.id).items}


def test_an_action_sent_twice_is_done_once(wb: Workbench, labeler: auth.User, theme: themes.Theme) -> None:
    cat = theme.labels[0].id
    ids = sorted(labels_now(wb, theme))
    action = Action("a-1-aaaaaa", [(i, cat) for i in ids[:3]], seconds=6.0, source="sweep")
    [done] = labelling.act(wb, labeler, theme.id, [action])
    assert (done.updated, done.missing, done.refused) == (3, [], None)
    images.label(wb, labeler, theme.id, [(ids[0], None)])
    [again] = labelling.act(wb, labeler, theme.id, [action])  # its answer was lost on the way
    assert again.updated == 0
    assert labels_now(wb, theme)[ids[0]] is None
    [first, second] = images.history(wb, ids[0])
    assert (first.after, first.source, second.after) == ("cat", "sweep", None)


def test_a_refused_action_leaves_the_others_and_what_is_gone_is_named(
    wb: Workbench, labeler: auth.User, theme: themes.Theme
) -> None:
    cat, dog = (label.id for label in theme.labels)
    ids = sorted(labels_now(wb, theme))
    images.delete(wb, labeler, theme.id, [ids[5]])
    actions = [
        Action("b-1-aaaaaa", [(ids[0], cat)]),
        Action("b-2-aaaaaa", [(ids[1], 999)]),
        Action("b-3-aaaaaa", [(ids[5], dog), (ids[2], dog)]),
        Action("b-4-aaaaaa", notes=[(ids[3], "x" * (labelling.MAX_NOTE + 1))]),
        Action("b-5-aaaaaa", notes=[(ids[4], "which <b>one</b>?")]),
    ]
    done = labelling.act(wb, labeler, theme.id, actions)
    assert [each.updated for each in done] == [1, 0, 1, 0, 1]
    assert done[2].missing == [ids[5]]
    assert done[1].refused is not None and "999" in done[1].refused.text()
    assert done[3].refused is not None and "500" in done[3].refused.text()
    [flagged] = images.page(wb, theme.id, images.Filter(flagged=True)).items
    assert (flagged.id, flagged.flag_note) == (ids[4], "which <b>one</b>?")
    labelling.act(wb, labeler, theme.id, [Action("b-6-aaaaaa", notes=[(ids[4], None)])])
    assert images.page(wb, theme.id, images.Filter(flagged=True)).items == []


def test_undo_takes_back_only_what_still_stands_and_redo_does_it_again(
    wb: Workbench, labeler: auth.User, trainer: auth.User, theme: themes.Theme
) -> None:
    cat, dog = (label.id for label in theme.labels)
    ids = sorted(labels_now(wb, theme))
    labelling.act(wb, labeler, theme.id, [Action("c-1-aaaaaa", [(i, cat) for i in ids])])
    images.label(wb, trainer, theme.id, [(ids[0], dog)])  # another person thought better
    [undo] = labelling.act(wb, labeler, theme.id, [Action("c-2-aaaaaa", undo="c-1-aaaaaa", source="undo")])
    assert undo.updated == 5
    assert labels_now(wb, theme) == {ids[0]: dog} | dict.fromkeys(ids[1:])
    [redo] = labelling.act(wb, labeler, theme.id, [Action("c-3-aaaaaa", undo="c-2-aaaaaa", source="redo")])
    assert redo.updated == 5
    assert labels_now(wb, theme) == {ids[0]: dog} | dict.fromkeys(ids[1:], cat)
    [foreign] = labelling.act(wb, trainer, theme.id, [Action("c-4-aaaaaa", undo="c-3-aaaaaa")])
    assert foreign.updated == 0  # one takes back what one did oneself


def test_undo_never_brings_a_deleted_label_back(
    wb: Workbench, trainer: auth.User, theme: themes.Theme
) -> None:
    cat, dog = (label.id for label in theme.labels)
    image_id = min(labels_now(wb, theme))
    labelling.act(wb, trainer, theme.id, [Action("e-1-aaaaaa", [(image_id, cat)])])
    labelling.act(wb, trainer, theme.id, [Action("e-2-aaaaaa", [(image_id, dog)])])
    themes.delete_label(wb, trainer, theme.id, cat)
    labelling.act(wb, trainer, theme.id, [Action("e-3-aaaaaa", undo="e-2-aaaaaa")])
    assert labels_now(wb, theme)[image_id] is None
    assert images.statistics(wb, theme.id).labelled == 0


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_undoing_everything_in_reverse_leads_back(
    wb_duckdb: Workbench, trainer: auth.User, data: st.DataObject
) -> None:
    number = len(themes.cards(wb_duckdb))
    theme = themes.create(wb_duckdb, trainer, name=f"T{number}", labels=["a", "b", "c"])
    images.add(wb_duckdb, trainer, theme.id, [(f"{n}.png", png(seed=n)) for n in range(4)])
    ids = sorted(labels_now(wb_duckdb, theme))
    choice = st.sampled_from([None, *(label.id for label in theme.labels)])
    steps = data.draw(
        st.lists(st.lists(st.tuples(st.sampled_from(ids), choice), min_size=1, max_size=4), max_size=5)
    )
    names = [f"{number}-step-{n:06}" for n in range(len(steps))]
    actions = [Action(name, changes) for name, changes in zip(names, steps, strict=True)]
    actions += [Action(f"{name}-u", undo=name, source="undo") for name in reversed(names)]
    cut = data.draw(st.integers(0, len(actions)))  # whether they arrive in one call or two
    labelling.act(wb_duckdb, trainer, theme.id, actions[:cut])
    labelling.act(wb_duckdb, trainer, theme.id, actions[cut:])
    assert labels_now(wb_duckdb, theme) == dict.fromkeys(ids)


def test_changes_of_others_are_told_once_per_image(
    wb: Workbench, labeler: auth.User, trainer: auth.User, theme: themes.Theme
) -> None:
    cat, dog = (label.id for label in theme.labels)
    ids = sorted(labels_now(wb, theme))
    start = labelling.changes_since(wb, theme.id, None)
    assert start.items == []
    images.label(wb, labeler, theme.id, [(ids[0], cat), (ids[1], cat)])
    images.label(wb, trainer, theme.id, [(ids[0], dog)])
    live = labelling.changes_since(wb, theme.id, start.last)
    assert [(image, label, who) for image, label, who, _ in live.items] == [
        (ids[0], dog, trainer.name),
        (ids[1], cat, labeler.name),
    ]
    assert labelling.changes_since(wb, theme.id, live.last).items == []


def test_what_is_too_much_or_not_allowed_is_refused(
    wb_duckdb: Workbench, labeler: auth.User, viewer: auth.User, trainer: auth.User
) -> None:
    theme = themes.create(wb_duckdb, trainer, name="T", labels=["a"])
    many = [(n, None) for n in range(1, labelling.MAX_CHANGES + 2)]
    with pytest.raises(InvalidInput, match="10001"):
        labelling.act(wb_duckdb, labeler, theme.id, [Action("d-1-aaaaaa", many)])
    with pytest.raises(Exception, match="labeler"):
        labelling.act(wb_duckdb, viewer, theme.id, [Action("d-2-aaaaaa", [(1, None)])])
