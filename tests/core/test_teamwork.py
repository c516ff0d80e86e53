"""Batches are disjoint, doubled images get two blind votes, disputes wait for a person, progress adds up."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from pictures import png

from core import auth, images, labelling, teamwork, themes
from core.db.tables import assignments, label_history, train_data
from core.errors import InvalidInput, NotAllowed
from core.labelling import Action
from core.workbench import Workbench


@pytest.fixture
def theme(wb: Workbench, trainer: auth.User) -> themes.Theme:
    made = themes.create(wb, trainer, name="Animals", labels=["cat", "dog"])
    images.add(wb, trainer, made.id, [(f"{n}.png", png(n, (8, 8))) for n in range(24)])
    return made


def labels_now(wb: Workbench, theme: themes.Theme) -> dict[int, int | None]:
    return {image.id: image.label_id for image in images.page(wb, theme.id).items}


def give(
    wb: Workbench, who: auth.User, theme: themes.Theme, name: str, *answers: tuple[int, int]
) -> labelling.Done:
    [done] = teamwork.answer(wb, who, theme.id, [Action(f"{name}-aaaaaa", list(answers), seconds=2.0)])
    return done


def test_batches_are_disjoint_also_when_asked_for_at_once(
    wb: Workbench, trainer: auth.User, labeler: auth.User, admin: auth.User, theme: themes.Theme
) -> None:
    teamwork.set_rules(wb, trainer, theme.id, batch=10)
    given: dict[str, list[int]] = {}
    threads = [
        threading.Thread(target=lambda who=who: given.update({who.name: teamwork.batch(wb, who, theme.id)}))  # type: ignore[misc]
        for who in (trainer, labeler, admin)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, given.values())) == [4, 10, 10]
    assert len({i for ids in given.values() for i in ids}) == 24
    assert teamwork.batch(wb, labeler, theme.id) == given[labeler.name]  # asked again, it is the same


def test_an_answer_labels_and_makes_room_and_comes_once(
    wb: Workbench, trainer: auth.User, labeler: auth.User, theme: themes.Theme
) -> None:
    cat, dog = (label.id for label in theme.labels)
    teamwork.set_rules(wb, trainer, theme.id, batch=3)
    first = teamwork.batch(wb, labeler, theme.id)
    assert give(wb, labeler, theme, "one", (first[0], cat), (10**9, cat)).missing == [10**9]
    assert give(wb, labeler, theme, "one", (first[0], dog)).updated == 0
    assert labels_now(wb, theme)[first[0]] == cat
    [change] = images.history(wb, first[0])
    assert (change.source, change.user) == ("queue", "labeler")
    second = teamwork.batch(wb, labeler, theme.id)
    assert second[:2] == first[1:] and len(second) == 3
    refused = give(wb, labeler, theme, "bad", (second[0], 999)).refused
    assert refused is not None and "labels" in refused.text()


def test_idle_batches_go_back(
    wb: Workbench, trainer: auth.User, labeler: auth.User, theme: themes.Theme
) -> None:
    teamwork.set_rules(wb, trainer, theme.id, batch=24, idle_minutes=30)
    assert len(teamwork.batch(wb, labeler, theme.id)) == 24
    assert teamwork.batch(wb, trainer, theme.id) == []
    past = datetime.now(UTC) - timedelta(minutes=31)
    wb.db.write(lambda c: c.execute(sa.update(assignments).values(touched_at=past)) and None)
    assert len(teamwork.batch(wb, trainer, theme.id)) == 24
    assert teamwork.batch(wb, labeler, theme.id) == []


def test_doubled_images_need_two_who_agree_and_a_person_settles_the_rest(
    wb: Workbench, admin: auth.User, trainer: auth.User, labeler: auth.User, theme: themes.Theme
) -> None:
    cat, dog = (label.id for label in theme.labels)
    teamwork.set_rules(wb, trainer, theme.id, batch=24, double_percent=100)
    ids = teamwork.batch(wb, labeler, theme.id)
    assert sorted(teamwork.batch(wb, trainer, theme.id)) == sorted(ids)
    assert teamwork.batch(wb, admin, theme.id) == []  # two are enough
    same, differs = ids[:2]
    give(wb, labeler, theme, "l1", (same, cat), (differs, cat))
    assert labels_now(wb, theme)[same] is None  # the second person sees nothing of the first
    give(wb, trainer, theme, "t1", (same, cat), (differs, dog))
    assert labels_now(wb, theme)[same] == cat
    assert labels_now(wb, theme)[differs] is None
    [dispute] = teamwork.disputes(wb, theme.id)
    assert (dispute.image.id, dispute.votes) == (differs, {"labeler": cat, "trainer": dog})
    found = teamwork.agreement(wb, theme.id)
    assert (found.images, found.same, found.pairs[0].n) == (2, 1, 2)
    teamwork.settle(wb, admin, theme.id, differs, dog)
    assert teamwork.disputes(wb, theme.id) == []
    people = {person.name: person for person in teamwork.progress(wb, theme.id)}
    assert (people["labeler"].votes, people["labeler"].right) == (2, 1)
    assert (people["trainer"].votes, people["trainer"].right) == (2, 2)
    assert people["admin"].labelled == 1
    # A person who thinks again replaces the own vote.
    third = ids[2]
    give(wb, labeler, theme, "l2", (third, cat))
    give(wb, labeler, theme, "l3", (third, dog))
    give(wb, trainer, theme, "t2", (third, dog))
    assert labels_now(wb, theme)[third] == dog


def test_answers_are_taken_back_with_what_they_gave(
    wb: Workbench, trainer: auth.User, labeler: auth.User, theme: themes.Theme
) -> None:
    cat, _ = (label.id for label in theme.labels)
    teamwork.set_rules(wb, trainer, theme.id, batch=3, double_percent=100)
    alone, both, *_ = batch = teamwork.batch(wb, labeler, theme.id)
    teamwork.batch(wb, trainer, theme.id)
    give(wb, labeler, theme, "l1", (alone, cat), (both, cat))
    give(wb, trainer, theme, "t1", (both, cat))
    assert labels_now(wb, theme)[both] == cat
    people = {person.name: person for person in teamwork.progress(wb, theme.id)}
    assert (people["labeler"].answers, people["labeler"].votes) == (2, 1)
    [done] = teamwork.answer(wb, labeler, theme.id, [Action("undo-aaaaaa", undo="l1-aaaaaa")])
    assert done.updated == 2
    assert labels_now(wb, theme)[both] is None  # one of the two votes that gave it is gone
    assert teamwork.batch(wb, labeler, theme.id) == batch
    assert teamwork.disputes(wb, theme.id) == []
    # Nobody takes back what another person said, and a second delivery does nothing.
    teamwork.answer(wb, labeler, theme.id, [Action("steal-aaaaaa", undo="t1-aaaaaa")])
    give(wb, labeler, theme, "l2", (both, cat))
    teamwork.answer(wb, labeler, theme.id, [Action("undo-aaaaaa", undo="l1-aaaaaa")])
    assert labels_now(wb, theme)[both] == cat
    teamwork.set_rules(wb, trainer, theme.id, batch=3, double_percent=0)
    single = next(i for i in teamwork.batch(wb, trainer, theme.id) if i not in batch)
    give(wb, trainer, theme, "t2", (single, cat))
    teamwork.answer(wb, trainer, theme.id, [Action("back-aaaaaa", undo="t2-aaaaaa")])
    assert labels_now(wb, theme)[single] is None
    assert [change.source for change in images.history(wb, single)] == ["queue", "undo"]
    assert single in teamwork.batch(wb, trainer, theme.id)


def test_the_share_of_doubled_images_follows_the_rule(
    wb_duckdb: Workbench, trainer: auth.User, labeler: auth.User
) -> None:
    theme = themes.create(wb_duckdb, trainer, name="T", labels=["a"])
    images.add(wb_duckdb, trainer, theme.id, [(f"{n}.png", png(n, (4, 4))) for n in range(200)])
    teamwork.set_rules(wb_duckdb, trainer, theme.id, batch=200, double_percent=30)
    mine = teamwork.batch(wb_duckdb, labeler, theme.id)
    theirs = teamwork.batch(wb_duckdb, trainer, theme.id)
    assert len(mine) == 200
    assert 40 <= len(theirs) <= 80  # 30 % of 200, within three deviations


def test_the_theme_is_seen_as_it_was(wb: Workbench, trainer: auth.User, theme: themes.Theme) -> None:
    cat, dog = (label.id for label in theme.labels)
    ids = sorted(labels_now(wb, theme))
    images.label(wb, trainer, theme.id, [(i, cat) for i in ids[:10]])
    then = datetime.now(UTC)
    images.label(wb, trainer, theme.id, [(i, dog) for i in ids[5:15]])
    images.delete(wb, trainer, theme.id, ids[:1])
    assert teamwork.counts_as_of(wb, theme.id, then) == {cat: 10, None: 14}
    assert teamwork.counts_as_of(wb, theme.id, datetime.now(UTC)) == {cat: 4, dog: 10, None: 9}
    assert teamwork.counts_as_of(wb, theme.id, then - timedelta(days=1)) == {}


def test_the_images_of_a_day_are_shown_with_the_labels_they_had(
    wb: Workbench, trainer: auth.User, theme: themes.Theme
) -> None:
    cat, dog = (label.id for label in theme.labels)
    gone, changed, cleared, never = sorted(labels_now(wb, theme))[:4]
    images.label(wb, trainer, theme.id, [(gone, cat), (changed, cat), (cleared, dog)])
    week = sa.literal(timedelta(days=7), sa.Interval)
    for table, column in ((train_data, train_data.c.created_at), (label_history, label_history.c.at)):
        wb.db.write(lambda c, t=table, k=column: c.execute(sa.update(t).values({k: k - week})) and None)  # type: ignore[misc]
    images.label(wb, trainer, theme.id, [(changed, dog), (cleared, None), (never, cat)])
    images.delete(wb, trainer, theme.id, [gone])
    day = (datetime.now(UTC) - timedelta(days=3)).date()

    def ids(**narrower: object) -> list[int]:
        return images.ids(wb, theme.id, images.Filter(at=day, sort="oldest", **narrower)).tolist()  # type: ignore[arg-type]

    assert len(ids()) == 24 and len(ids(state="unlabelled")) == 21
    assert ids(label=cat) == [gone, changed] and ids(label=dog) == [cleared]
    assert ids(state="labelled", by=trainer.id) == [gone, changed, cleared]
    then = images.rows(wb, theme.id, [gone, changed, cleared, never], images.Filter(at=day))
    assert [image.label_id for image in then] == [cat, cat, dog, None]
    assert [image.labeled_by for image in then] == ["trainer"] * 3 + [None]
    page = images.page(wb, theme.id, images.Filter(at=day)).items
    assert {image.id: image.label_id for image in page}[changed] == cat
    assert ids(label=cat) != images.ids(wb, theme.id, images.Filter(label=cat)).tolist()
    assert images.ids(wb, theme.id, images.Filter(at=day - timedelta(days=30))).size == 0


def test_what_is_out_of_range_or_not_allowed_is_refused(
    wb_duckdb: Workbench, trainer: auth.User, labeler: auth.User, viewer: auth.User
) -> None:
    theme = themes.create(wb_duckdb, trainer, name="T", labels=["a"])
    with pytest.raises(InvalidInput, match="double_percent"):
        teamwork.set_rules(wb_duckdb, trainer, theme.id, double_percent=101)
    with pytest.raises(NotAllowed):
        teamwork.set_rules(wb_duckdb, labeler, theme.id, batch=5)
    with pytest.raises(NotAllowed):
        teamwork.batch(wb_duckdb, viewer, theme.id)


def test_a_label_given_beyond_the_votes_stands(
    wb: Workbench, admin: auth.User, trainer: auth.User, labeler: auth.User, theme: themes.Theme
) -> None:
    cat, dog = (label.id for label in theme.labels)
    teamwork.set_rules(wb, trainer, theme.id, batch=24, double_percent=100)
    by_hand, settled, agreed = teamwork.batch(wb, labeler, theme.id)[:3]
    teamwork.batch(wb, trainer, theme.id)
    images.label(wb, admin, theme.id, [(by_hand, dog)])
    give(wb, labeler, theme, "l1", (by_hand, cat), (settled, cat), (agreed, cat))
    assert labels_now(wb, theme)[by_hand] == dog
    give(wb, trainer, theme, "t1", (by_hand, cat), (settled, dog), (agreed, cat))
    assert labels_now(wb, theme)[by_hand] == dog
    teamwork.settle(wb, admin, theme.id, settled, dog)
    give(wb, labeler, theme, "l2", (settled, cat), (agreed, dog))  # both think again
    assert labels_now(wb, theme)[settled] == dog
    assert labels_now(wb, theme)[agreed] is None  # it came from votes that agree no more
    assert [dispute.image.id for dispute in teamwork.disputes(wb, theme.id)] == [agreed]


def test_no_image_falls_between_the_queue_and_the_disputes(
    wb: Workbench, admin: auth.User, trainer: auth.User, labeler: auth.User, theme: themes.Theme
) -> None:
    cat = theme.labels[0].id
    fox = themes.add_label(wb, trainer, theme.id, name="fox").id
    teamwork.set_rules(wb, trainer, theme.id, batch=24, double_percent=100)
    waiting, undone, one_gone, both_gone = teamwork.batch(wb, labeler, theme.id)[:4]
    give(wb, labeler, theme, "l", (waiting, cat), (undone, cat), (one_gone, fox), (both_gone, fox))
    teamwork.set_rules(wb, trainer, theme.id, batch=24, double_percent=0)
    assert waiting in teamwork.batch(wb, trainer, theme.id)  # what one person began a second one ends
    give(wb, trainer, theme, "t", (undone, cat), (one_gone, cat), (both_gone, fox))
    images.label(wb, admin, theme.id, [(undone, None)])
    themes.delete_label(wb, trainer, theme.id, fox)
    assert [dispute.image.id for dispute in teamwork.disputes(wb, theme.id)] == [undone]
    # A vote for a label that is gone is none: each of the two is asked again, or somebody else.
    assert {one_gone, both_gone} <= set(teamwork.batch(wb, labeler, theme.id))
    give(wb, labeler, theme, "l2", (one_gone, cat))
    assert labels_now(wb, theme)[one_gone] == cat
    images.label(wb, admin, theme.id, [(one_gone, None)])
    assert one_gone in [dispute.image.id for dispute in teamwork.disputes(wb, theme.id)]


def test_a_label_taken_away_puts_a_single_image_back_into_the_queue(
    wb: Workbench, trainer: auth.User, labeler: auth.User, theme: themes.Theme
) -> None:
    [image_id, *_] = teamwork.batch(wb, labeler, theme.id)
    give(wb, labeler, theme, "l", (image_id, theme.labels[0].id))
    assert image_id not in teamwork.batch(wb, labeler, theme.id)
    images.label(wb, trainer, theme.id, [(image_id, None)])
    assert image_id in teamwork.batch(wb, labeler, theme.id)


def test_who_answers_keeps_the_rest_of_the_batch(
    wb: Workbench, trainer: auth.User, labeler: auth.User, theme: themes.Theme
) -> None:
    ids = teamwork.batch(wb, labeler, theme.id)
    past = datetime.now(UTC) - timedelta(minutes=31)
    wb.db.write(lambda c: c.execute(sa.update(assignments).values(touched_at=past)) and None)
    give(wb, labeler, theme, "l", (ids[0], theme.labels[0].id))
    assert teamwork.batch(wb, trainer, theme.id) == []


def test_what_a_model_learns_most_from_comes_first(
    wb: Workbench, labeler: auth.User, trainer: auth.User, theme: themes.Theme
) -> None:
    newest_first = sorted(labels_now(wb, theme), reverse=True)
    ranked = [newest_first[20], newest_first[7]]
    for rank, image_id in enumerate(ranked, 1):
        chosen = sa.update(train_data).where(train_data.c.id == image_id).values(teach_rank=rank)
        wb.db.write(lambda c, chosen=chosen: c.execute(chosen) and None)  # type: ignore[misc]
    wanted = ranked + [i for i in newest_first if i not in ranked]
    teamwork.set_rules(wb, trainer, theme.id, batch=10)
    assert teamwork.batch(wb, labeler, theme.id) == wanted[:10]
    assert teamwork.batch(wb, labeler, theme.id) == wanted[:10]
