from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from pictures import png

from core import auth, images, themes
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from core.workbench import Workbench


def test_a_theme_is_made_found_changed_and_listed(wb: Workbench, trainer: auth.User) -> None:
    made = themes.create(wb, trainer, name="  Animals ", description="Cats, dogs", labels=["cat", "dog"])
    assert (made.name, [label.name for label in made.labels]) == ("Animals", ["cat", "dog"])
    assert [label.position for label in made.labels] == [0, 1]
    assert len({label.color for label in made.labels}) == 2
    assert themes.get(wb, made.id) == made
    other = themes.create(wb, trainer, name="100% of <b>parts</b>")
    assert [card.theme.id for card in themes.cards(wb)] == [other.id, made.id]
    for search, found in [("ANIM", [made.id]), ("dogs", [made.id]), ("100%", [other.id]), ("%", [other.id])]:
        assert [card.theme.id for card in themes.cards(wb, search)] == found, search
    changed = themes.update(wb, trainer, made.id, description="Cats and dogs")
    assert (changed.name, changed.description) == ("Animals", "Cats and dogs")


def test_a_card_counts_images(wb: Workbench, trainer: auth.User) -> None:
    theme = themes.create(wb, trainer, name="Animals", labels=["cat"])
    images.add(wb, trainer, theme.id, [("cat/1.png", png(1)), ("2.png", png(2))], label_from_folder=True)
    [card] = themes.cards(wb)
    assert (card.images, card.labelled, card.last_run) == (2, 1, None)


@pytest.mark.parametrize(
    "name",
    ["", "   ", "x" * 201, "a\nb", "a\0b", "\ud800"],
    ids=["empty", "blank", "long", "line", "nul", "torn"],
)
def test_a_name_that_is_none_is_refused(wb_duckdb: Workbench, trainer: auth.User, name: str) -> None:
    with pytest.raises(InvalidInput):
        themes.create(wb_duckdb, trainer, name=name)
    theme = themes.create(wb_duckdb, trainer, name="Animals")
    with pytest.raises(InvalidInput):
        themes.add_label(wb_duckdb, trainer, theme.id, name=name)


def test_names_are_taken_once_whatever_the_case(wb: Workbench, trainer: auth.User) -> None:
    theme = themes.create(wb, trainer, name="Straße", labels=["Öl"])
    with pytest.raises(Conflict, match="a theme named"):
        themes.create(wb, trainer, name="STRASSE")
    with pytest.raises(Conflict, match="has a label"):
        themes.add_label(wb, trainer, theme.id, name="öl")
    with pytest.raises(InvalidInput, match="listed twice"):
        themes.create(wb, trainer, name="Other", labels=["a", "A "])
    themes.update(wb, trainer, theme.id, name="STRASSE")  # its own name in another case


def test_html_in_a_label_is_kept_as_text(wb: Workbench, trainer: auth.User) -> None:
    theme = themes.create(wb, trainer, name="Animals")
    label = themes.add_label(wb, trainer, theme.id, name="<img src=x onerror=alert(1)>", color="#abcdef")
    assert themes.get(wb, theme.id).labels == (label,)
    assert (label.name, label.color) == ("<img src=x onerror=alert(1)>", "#ABCDEF")
    with pytest.raises(InvalidInput, match="not a colour"):
        themes.update_label(wb, trainer, theme.id, label.id, color="red;} body {display:none")
    renamed = themes.update_label(wb, trainer, theme.id, label.id, name="cat")
    assert (renamed.name, renamed.color) == ("cat", "#ABCDEF")


def test_a_deleted_label_leaves_its_images_unlabelled_and_their_history(
    wb: Workbench, trainer: auth.User
) -> None:
    theme = themes.create(wb, trainer, name="Animals", labels=["cat", "dog"])
    cat, dog = theme.labels
    images.add(wb, trainer, theme.id, [("cat/1.png", png(1)), ("dog/2.png", png(2))], label_from_folder=True)
    assert themes.delete_label(wb, trainer, theme.id, cat.id) == 1
    assert themes.get(wb, theme.id).labels == (dog,)
    assert images.statistics(wb, theme.id).by_label == {dog.id: 1}
    [image] = images.page(wb, theme.id, images.Filter(state="unlabelled")).items
    assert (image.labeled_by, image.labeled_at) == (None, None)
    assert [(c.before, c.after, c.source) for c in images.history(wb, image.id)] == [
        (None, "cat", "upload"),
        ("cat", None, "hand"),
    ]
    again = themes.add_label(wb, trainer, theme.id, name="cat")
    assert (again.id != cat.id, again.position) == (True, 2)
    with pytest.raises(NotFound):
        themes.delete_label(wb, trainer, theme.id, cat.id)


def test_deleting_a_theme_asks_for_its_name_and_says_what_goes(wb: Workbench, trainer: auth.User) -> None:
    theme = themes.create(wb, trainer, name="Animals", labels=["cat"])
    images.add(wb, trainer, theme.id, [("1.png", png(1))])
    what = {"images": 1, "labels": 1, "runs": 0, "models": 0}
    assert themes.what_goes(wb, theme.id) == what
    with pytest.raises(InvalidInput, match="“Animals”"):
        themes.delete(wb, trainer, theme.id, confirm_name="animals")
    assert themes.delete(wb, trainer, theme.id, confirm_name="Animals") == what
    assert themes.cards(wb) == []
    for gone in (
        lambda: themes.get(wb, theme.id),
        lambda: themes.update(wb, trainer, theme.id, name="x"),
        lambda: themes.add_label(wb, trainer, theme.id, name="x"),
        lambda: images.add(wb, trainer, theme.id, [("2.png", png(2))]),
        lambda: images.label(wb, trainer, theme.id, [(1, None)]),
    ):
        with pytest.raises(NotFound):
            gone()
    themes.create(wb, trainer, name="Animals")  # the name is free again


def test_labelers_do_not_change_themes(wb_duckdb: Workbench, trainer: auth.User, labeler: auth.User) -> None:
    theme = themes.create(wb_duckdb, trainer, name="Animals", labels=["cat"])
    for act in (
        lambda: themes.create(wb_duckdb, labeler, name="x"),
        lambda: themes.update(wb_duckdb, labeler, theme.id, name="x"),
        lambda: themes.delete(wb_duckdb, labeler, theme.id, confirm_name="Animals"),
        lambda: themes.add_label(wb_duckdb, labeler, theme.id, name="x"),
        lambda: themes.update_label(wb_duckdb, labeler, theme.id, theme.labels[0].id, name="x"),
        lambda: themes.delete_label(wb_duckdb, labeler, theme.id, theme.labels[0].id),
    ):
        with pytest.raises(NotAllowed):
            act()


def test_of_many_who_take_one_name_at_once_one_has_it(wb: Workbench, trainer: auth.User) -> None:
    other = themes.create(wb, trainer, name="other")

    def refused(take: Callable[[], object]) -> bool:
        try:
            take()
        except Conflict as error:
            assert "already" in str(error)
            return True
        return False

    works: list[Callable[[], object]] = [lambda: themes.update(wb, trainer, other.id, name="PARTS")]
    works += [lambda: themes.create(wb, trainer, name="Parts")] * 5
    with ThreadPoolExecutor(len(works)) as pool:
        assert sum(pool.map(refused, works)) == len(works) - 1
