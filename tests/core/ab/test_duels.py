"""Duels: items from everywhere, judged blind and once, and results only when nobody is led by them."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from core import auth, images
from core.ab import duel_results, duels, interactions, judging, trials
from core.ab.duel_items import Sample
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from core.workbench import Workbench
from tests.core.ab.duelling import GIVEN, deployed, judge_all, of_texts, polite
from tests.core.ab.rig import PLAN, log, rows, started, two_versions


def _cat(_image: bytes) -> tuple[str, float]:
    return "cat", 0.9


def _either(image: bytes) -> tuple[str, float] | None:
    first = hashlib.sha256(image).digest()[0]
    return None if first < 20 else (("cat", "dog")[first % 2], 0.6)


def test_both_versions_answer_drawn_images(wb: Workbench, trainer: auth.User, labeler: auth.User) -> None:
    theme, versions = two_versions(wb, trainer)
    pair = (versions[0], versions[1])
    everything = Sample(which="all", n=20, seed=3)
    with pytest.raises(Conflict, match="Version 1 is not deployed"):
        duels.create(wb, trainer, theme_id=theme.id, versions=pair, sample=everything)
    with deployed(wb, trainer, versions, _cat, _either):
        with pytest.raises(InvalidInput, match="no image of that kind"):  # all of them are labelled
            duels.create(wb, trainer, theme_id=theme.id, versions=pair, sample=Sample())
        made = duels.create(wb, trainer, theme_id=theme.id, versions=pair, sample=everything)
        again = duels.create(wb, trainer, theme_id=theme.id, versions=pair, sample=everything)
        some = duels.create(wb, trainer, theme_id=theme.id, versions=pair, sample=Sample(which="test"))
    assert made.sample is not None and made.items + made.sample["failed"] == 20
    expected = {
        image.id: _either(wb.files.read(image.image_path)) for image in images.page(wb, theme.id).items
    }
    assert 0 < made.same < made.items
    shown = judging.upcoming(wb, labeler, made.id, limit=20)
    assert len(shown) == made.items - made.same  # where both say “cat” nobody is asked
    for item in shown:
        assert item.picture is not None and item.query is None
        assert expected[item.picture.image_id] == ("dog", 0.6)
        assert {(item.left, item.left_confidence), (item.right, item.right_confidence)} == {
            ("cat", 0.9),
            ("dog", 0.6),
        }
    drawn = [item.picture for item in shown]
    assert [item.picture for item in judging.upcoming(wb, labeler, again.id, limit=20)] == drawn
    assert some.items <= images.statistics(wb, theme.id).by_split["test"]
    gone = drawn[0]
    assert gone is not None
    images.delete(wb, labeler, theme.id, [gone.image_id])
    assert gone not in [item.picture for item in judging.upcoming(wb, labeler, made.id, limit=20)]


def test_queries_that_users_asked_both_variants(wb: Workbench, trainer: auth.User) -> None:
    trial = started(wb, trainer)
    asked = [("How much?", "A", "ten"), ("How much?", "B", "twelve"), ("How much?", "B", "later")]
    asked += [("Only A?", "A", "yes"), ("photo.PNG", "A", "cat"), ("photo.PNG", "B", "dog")]
    asked += [("Same?", "A", "yes"), ("Same?", "B", "yes ")]
    for n, (query, variant, response) in enumerate(asked):
        row = {"unit": f"u{n}", "key": f"{n}", "variant": variant, "query": query, "response": response}
        assert not interactions.log(wb, trial.id, [row]).refused
    made = duels.create(wb, trainer, test_id=trial.id, sample=Sample(source="logs"))
    assert (made.items, made.same, made.test_id) == (2, 1, trial.id)
    [item] = judging.upcoming(wb, trainer, made.id)
    assert item.query == "How much?" and {item.left, item.right} == {"ten", "twelve"}
    empty = started(wb, trainer)
    with pytest.raises(InvalidInput, match="No logged text"):
        duels.create(wb, trainer, test_id=empty.id, sample=Sample(source="logs"))
    with pytest.raises(InvalidInput, match="“A” cannot duel"):
        duels.create(wb, trainer, test_id=empty.id, variant="A")
    pair = (trial.plan.versions[0], trial.plan.versions[1])
    with pytest.raises(InvalidInput, match="Only the duel of an A/B test"):
        duels.create(wb, trainer, theme_id=trial.theme_id, versions=pair, sample=Sample(source="logs"))


def test_items_of_a_program_come_in_once_and_bad_ones_are_named(
    wb: Workbench, trainer: auth.User, labeler: auth.User
) -> None:
    theme, versions = two_versions(wb, trainer)
    made = of_texts(wb, trainer, theme.id, versions)
    good: dict[str, Any] = {"query": "Why?", "answer_a": "", "answer_b": "<b>Because</b>"}
    bad = [
        {**good, "query": ""},
        {"query": "Why?", "answer_a": "x"},
        {**good, "answer_b": 3},
        {**good, "answer_a": "nul \0"},
        {**good, "confidence_a": 1.5},
        {**good, "who": "A"},
        {**good, "query": "\ud800"},
        {**good, "key": "k\0"},
    ]
    found = duels.add(
        wb, trainer, made.id, [*bad, good, good, {**good, "key": "k", "answer_a": good["answer_b"]}]
    )
    assert (found.added, found.known, found.same) == (2, 1, 1)
    assert [index for index, _ in found.refused] == list(range(len(bad)))
    assert "1 to 20000 characters" in str(found.refused[0][1])
    assert all(field in str(found.refused[n][1]) for n, field in ((1, "of B"), (3, "answer_a"), (5, "who")))
    assert duels.add(wb, trainer, made.id, GIVEN).known == len(GIVEN)
    with pytest.raises(InvalidInput, match="at most 500"):
        duels.add(wb, trainer, made.id, GIVEN * 20)
    with pytest.raises(NotAllowed):
        duels.add(wb, labeler, made.id, GIVEN)
    with pytest.raises(NotFound):
        duels.add(wb, trainer, 99, GIVEN)
    with pytest.raises(InvalidInput, match="two different versions"):
        duels.create(wb, trainer, theme_id=theme.id, versions=(versions[0], versions[0]))
    with pytest.raises(InvalidInput, match="which A/B test"):
        duels.create(wb, trainer)
    elsewhere, _ = two_versions(wb, trainer)
    with pytest.raises(NotFound, match="in this theme"):
        duels.create(wb, trainer, theme_id=elsewhere.id, versions=(versions[0], versions[1]))
    assert [each.id for each in duels.listed(wb, theme_id=theme.id)] == [made.id]


def test_an_item_is_judged_once_and_only_the_last_is_taken_back(
    wb: Workbench, trainer: auth.User, labeler: auth.User, viewer: auth.User
) -> None:
    theme, versions = two_versions(wb, trainer)
    made = of_texts(wb, trainer, theme.id, versions)
    first, second, third = judging.upcoming(wb, labeler, made.id, limit=3)
    assert judging.judge(wb, labeler, made.id, first.number, "left", 2.0).judged == 1
    assert judging.judge(wb, labeler, made.id, first.number, "left", 9.0).judged == 1  # sent again
    with pytest.raises(Conflict, match="otherwise before"):
        judging.judge(wb, labeler, made.id, first.number, "right")
    judging.judge(wb, labeler, made.id, second.number, "tie", -1)
    with pytest.raises(Conflict, match="Only your last"):
        judging.take_back(wb, labeler, made.id, first.number)
    assert judging.take_back(wb, labeler, made.id, second.number).judged == 1
    assert judging.take_back(wb, labeler, made.id, second.number).judged == 1  # sent again
    assert [item.number for item in judging.upcoming(wb, labeler, made.id, limit=2)] == [2, 3]
    assert judging.upcoming(wb, labeler, made.id, after=third.number)[0].number == 4
    assert judging.upcoming(wb, trainer, made.id)[0].number == 1  # everybody has an own pile
    with pytest.raises(InvalidInput, match="left, right or tie"):
        judging.judge(wb, labeler, made.id, third.number, "b")
    with pytest.raises(NotFound, match="no item 99"):
        judging.judge(wb, labeler, made.id, 99, "left")
    with pytest.raises(NotAllowed):
        judging.judge(wb, viewer, made.id, third.number, "left")
    duels.close(wb, trainer, made.id)
    duels.close(wb, trainer, made.id)
    for act in (
        lambda: judging.judge(wb, labeler, made.id, third.number, "left"),
        lambda: judging.take_back(wb, labeler, made.id, first.number),
        lambda: duels.add(wb, trainer, made.id, GIVEN),
    ):
        with pytest.raises(Conflict, match="closed"):
            act()
    assert judging.upcoming(wb, labeler, made.id) == []
    assert duel_results.make(wb, labeler, made.id)["counts"]["judgements"] == 1


def test_results_wait_until_nobody_can_be_led_by_them(
    wb: Workbench, trainer: auth.User, labeler: auth.User, viewer: auth.User
) -> None:
    theme, versions = two_versions(wb, trainer)
    made = of_texts(wb, trainer, theme.id, versions)
    before = duel_results.make(wb, viewer, made.id)  # who may not judge cannot be led
    assert before["sentence"] == "Nobody has judged an item yet." and before["preference"] is None
    for person in (trainer, labeler):
        with pytest.raises(NotAllowed, match="until you have judged every item"):
            duel_results.make(wb, person, made.id)
    assert judge_all(wb, labeler, made.id, polite) == len(GIVEN)
    assert judging.progress(wb, labeler, made.id).finished
    one = duel_results.make(wb, labeler, made.id)
    assert one["sentence"].startswith("Judges preferred B in 100 of 100 decided duels (9")
    assert one["sentence"].endswith(" to 100).") and one["preference"]["elo"] is None
    assert "One person has judged" in one["agreement"]["sentence"]
    with pytest.raises(Conflict, match="your judgements stand"):
        judging.take_back(wb, labeler, made.id, len(GIVEN))
    duels.add(wb, trainer, made.id, [{"query": "New?", "answer_a": "x", "answer_b": "y"}])
    assert judging.upcoming(wb, labeler, made.id) == []  # has seen the results
    with pytest.raises(Conflict, match="seen the results"):
        judging.judge(wb, labeler, made.id, len(GIVEN) + 1, "left")
    numbers = iter(range(100))
    judge_all(wb, trainer, made.id, lambda a, b: polite(a, b) if next(numbers) % 3 else "tie")
    both = duel_results.make(wb, viewer, made.id)
    assert both["counts"]["judged_items"] == 31
    assert both["agreement"]["items"] == 30 and both["agreement"]["alike"] == 20
    assert both["agreement"]["sentence"].startswith("Judges chose alike on 20 of 30 items")
    assert [judge["name"] for judge in both["judges"]] == ["trainer", "labeler"]
    assert both["judges"][1]["b"] == 30 and 0 < both["judges"][1]["left"] < 30
    assert both["items"][0]["answer_b"] == "2, of course." and both["items"][0]["b"] == 1
    assert both["preference"]["items"] == 31 and both["preference"]["winner"] == "B"
    assert both["live_test"] is None


def test_judges_and_live_test_agree_or_contradict_each_other(
    wb: Workbench, trainer: auth.User, fixed_salt: None
) -> None:
    theme, versions = two_versions(wb, trainer)
    draft = trials.create(wb, trainer, theme.id, "B against A", PLAN | {"versions": versions})
    made = duels.create(wb, trainer, test_id=draft.id)
    duels.add(wb, trainer, made.id, GIVEN)
    judge_all(wb, trainer, made.id, polite)

    def said() -> tuple[str, str]:
        live = duel_results.make(wb, trainer, made.id)["live_test"]
        return live["state"], live["sentence"]

    assert said()[0] == "open" and "has not started" in said()[1]
    trial = trials.start(wb, trainer, draft.id)
    assert "cannot tell yet; the judges prefer B" in said()[1]
    log(wb, trial, rows(trial, 2_000, gain=0.6))
    assert said() == ("agree", "Judges and live test agree: B is better.")
    log(wb, trial, rows(trial, 6_000, gain=-0.9, seed=1))
    assert said()[0] == "conflict" and "better off with A, but the judges prefer B" in said()[1]
    spare = trials.create(wb, trainer, theme.id, "Thrown away", PLAN | {"versions": versions})
    other = duels.create(wb, trainer, test_id=spare.id)
    trials.discard(wb, trainer, spare.id)
    duels.close(wb, trainer, other.id)
    assert duel_results.make(wb, trainer, other.id)["live_test"] is None
