from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pictures import encoded, picture, png
from PIL import Image, ImageFilter

from core import auth, images, splits, themes
from core.db.tables import image_findings
from core.errors import InvalidInput, NotAllowed
from core.images import Filter
from core.quality import decisions, findings, freezing, intake, repair
from core.quality.conditions import COMPARED
from core.workbench import Workbench


@pytest.fixture
def theme(wb: Workbench, trainer: auth.User) -> themes.Theme:
    return themes.create(wb, trainer, name="Animals", labels=["cat", "dog"])


def brighter(seed: int) -> bytes:
    """The same picture, a little brighter, smaller, and as JPEG: other bytes, no other content."""
    image = picture(seed, (96, 64)).point(lambda level: min(255, round(level * 1.08)))
    return encoded(image.resize((80, 53)), "JPEG", quality=92)


def with_finding(wb: Workbench, theme: themes.Theme, kind: str) -> set[str]:
    which = Filter(finding=kind)
    return {image.file_name for image in images.page(wb, theme.id, which).items}


def add(wb: Workbench, actor: auth.User, theme: themes.Theme, **files: bytes) -> None:
    """`cat_1` lies in the folder cat, `train_cat_1` in train/cat."""
    given = [(f"{name.replace('_', '/')}.png", data) for name, data in files.items()]
    images.add(wb, actor, theme.id, given, label_from_folder=True, split_from_folder=True)


def test_cheap_faults_are_found_at_upload(
    wb: Workbench, theme: themes.Theme, labeler: auth.User, trainer: auth.User
) -> None:
    black = encoded(picture(1, (64, 48)).point(lambda level: level // 8))
    files = {
        "good": png(1, (64, 48)),
        "blank": encoded(Image.new("RGB", (64, 64), (90, 120, 30))),
        "dark": black,
        "small": png(2, (64, 12)),
        "wide": png(3, (300, 30)),
    }
    images.add(wb, labeler, theme.id, [(f"{name}.png", data) for name, data in files.items()])
    assert with_finding(wb, theme, "blank") == {"blank.png"}
    assert "dark.png" in with_finding(wb, theme, "dark")
    assert with_finding(wb, theme, "small") == {"small.png"}
    assert with_finding(wb, theme, "aspect") == {"small.png", "wide.png"}
    # Another threshold finds anew; what a person called fine stays fine.
    [wide] = [i.id for i in images.page(wb, theme.id).items if i.file_name == "wide.png"]
    assert len(decisions.decide(wb, labeler, theme.id, "aspect", [wide])) == 1
    findings.set_rules(wb, trainer, theme.id, {"aspect_above": 5.0})
    assert with_finding(wb, theme, "aspect") == {"small.png"}
    assert len(decisions.decide(wb, labeler, theme.id, "aspect", [wide], keep=False)) == 1
    assert with_finding(wb, theme, "aspect") == {"small.png", "wide.png"}
    findings.set_rules(wb, trainer, theme.id, {"aspect_above": 50.0})
    assert with_finding(wb, theme, "aspect") == set()


def test_of_copies_as_large_the_first_stays_unless_another_is_clearly_sharper(
    wb: Workbench, theme: themes.Theme, trainer: auth.User
) -> None:
    grain = picture(3, (4, 4)).resize((96, 64), Image.Resampling.NEAREST)
    one, two = (Image.blend(picture(seed, (96, 64)), grain, 0.4) for seed in (1, 2))
    brighter = encoded(one.point(lambda level: min(255, round(level * 1.15 + 8))), "JPEG", quality=92)
    blurred = encoded(two.filter(ImageFilter.GaussianBlur(1)))
    add(wb, trainer, theme, train_cat_1=encoded(one), train_cat_2blurred=blurred)
    later = [("train/cat/1brighter.jpg", brighter), ("train/cat/2.png", encoded(two))]
    images.add(wb, trainer, theme.id, later, label_from_folder=True, split_from_folder=True)
    assert len(with_finding(wb, theme, "twin")) == 4
    name = {image.id: image.file_name for image in images.page(wb, theme.id).items}
    assert [name[each.best] for each in repair.copies(wb, theme.id)] == ["train/cat/1.png", "train/cat/2.png"]


def test_copies_conflicts_and_leaks_are_found_fixed_and_gone(
    wb: Workbench, theme: themes.Theme, trainer: auth.User
) -> None:
    files = {f"train_{'cat' if n % 2 else 'dog'}_{n}": png(n, (96, 64)) for n in range(20)}
    add(wb, trainer, theme, **files)
    assert findings.standing(wb, theme.id).gate.passed
    add(
        wb,
        trainer,
        theme,
        test_cat_copy1=brighter(1),
        train_cat_copy3=brighter(3),
        train_dog_copy5=brighter(5),
    )
    found = findings.standing(wb, theme.id)
    assert {kind: found.findings[kind] for kind in COMPARED} == {"leak": 2, "conflict": 2, "twin": 6}
    assert [line.name for line in found.gate.failed] == ["leakage", "conflicts"]
    assert with_finding(wb, theme, "leak") == {"train/cat/1.png", "test/cat/copy1.png"}
    assert with_finding(wb, theme, "conflict") == {"train/cat/5.png", "train/dog/copy5.png"}

    planned = repair.moves(wb, theme.id)
    assert [(move.old, move.new) for move in planned] == [("train", "test")]
    assert repair.one_side(wb, trainer, theme.id) == planned
    assert with_finding(wb, theme, "leak") == set()
    cat = next(label.id for label in theme.labels if label.name == "cat")
    [wrong] = [i.id for i in images.page(wb, theme.id).items if i.file_name == "train/dog/copy5.png"]
    images.label(wb, trainer, theme.id, [(wrong, cat)])
    assert findings.standing(wb, theme.id).gate.passed
    assert [len(each.rest) for each in repair.copies(wb, theme.id)] == [1, 1, 1]
    assert len(repair.keep_best(wb, trainer, theme.id)) == 3
    after = findings.standing(wb, theme.id)
    assert not any(after.findings[kind] for kind in COMPARED)
    assert (after.gate.score, after.counts.images) == (100, 20)
    log = [(entry.action, entry.detail.get("kind")) for entry in findings.entries(wb, theme.id)]
    assert log == [("fix", "twin"), ("fix", "leak")]


def test_look_alikes_are_dealt_to_one_side_and_later_ones_follow(
    wb: Workbench, theme: themes.Theme, trainer: auth.User
) -> None:
    first = {f"{'cat' if n % 2 else 'dog'}_{n}": png(n, (96, 64)) for n in range(30)}
    add(wb, trainer, theme, **first, **{f"cat_again{n}": brighter(n) for n in range(1, 9, 2)})
    splits.split(wb, trainer, theme.id)
    assert findings.standing(wb, theme.id).counts.leaks == 0
    add(wb, trainer, theme, **{f"cat_later{n}": brighter(n) for n in range(9, 30, 2)})
    report = splits.split(wb, trainer, theme.id)
    assert sum(report.dealt.values()) == 11
    assert findings.standing(wb, theme.id).counts.leaks == 0


def test_an_image_that_joins_two_sides_is_left_out(
    wb: Workbench, theme: themes.Theme, trainer: auth.User
) -> None:
    add(wb, trainer, theme, train_cat_1=png(1, (96, 64)), test_cat_1=brighter(1), train_dog_2=png(2))
    image = picture(1, (96, 64)).point(lambda level: min(255, round(level * 1.04)))
    add(wb, trainer, theme, cat_new=encoded(image))
    report = splits.split(wb, trainer, theme.id, ratios=(0.8, 0.1, 0.1))
    assert (report.torn, sum(report.dealt.values())) == (1, 0)
    repair.one_side(wb, trainer, theme.id)
    assert splits.split(wb, trainer, theme.id).dealt["test"] == 1


def test_clusters_grow_and_join_over_uploads(wb: Workbench, theme: themes.Theme, trainer: auth.User) -> None:
    def shade(factor: float) -> bytes:
        image = picture(1, (96, 64))
        return encoded(image.point(lambda level: min(255, round(level * factor))))

    for factor in (1.0, 1.02, 1.04, 0.98, 0.96):
        images.add(wb, trainer, theme.id, [(f"{factor}.png", shade(factor))])
    [cluster] = repair.copies(wb, theme.id)
    assert len(cluster.rest) == 4
    # All anew, as after another rule, gives the same.
    findings.set_rules(wb, trainer, theme.id, {"twin_likeness": 0.975})
    assert repair.copies(wb, theme.id) == [cluster]
    assert findings.standing(wb, theme.id).counts.copies == 4
    # A removed image holds no others together, and nothing waits to be compared.
    images.delete(wb, trainer, theme.id, [cluster.best])
    findings.set_rules(wb, trainer, theme.id, {"twin_likeness": 0.98})
    assert len(repair.copies(wb, theme.id)[0].rest) == 3
    assert findings.standing(wb, theme.id).counts.unchecked == 0


def test_images_that_were_not_compared_yet_are_said_and_caught_up_with(
    wb: Workbench, theme: themes.Theme, trainer: auth.User
) -> None:
    add(wb, trainer, theme, cat_1=png(1, (96, 64)), cat_2=brighter(1))
    wb.db.write(lambda connection: intake.forget(connection, theme.id))
    found = findings.standing(wb, theme.id)
    assert (found.counts.unchecked, found.findings["twin"], found.gate.passed) == (2, 0, False)
    intake.catch_up(wb, theme.id)
    found = findings.standing(wb, theme.id)
    assert (found.counts.unchecked, found.findings["twin"]) == (0, 2)


def test_who_may_decide_what(
    wb: Workbench, theme: themes.Theme, labeler: auth.User, viewer: auth.User
) -> None:
    with pytest.raises(InvalidInput, match="cannot be called fine"):
        decisions.decide(wb, labeler, theme.id, "leak", [1])
    with pytest.raises(InvalidInput, match="no finding"):
        decisions.decide(wb, labeler, theme.id, "ugly", [1])
    with pytest.raises(NotAllowed):
        decisions.decide(wb, viewer, theme.id, "dark", [1])
    for kind in ("conflict", "twin"):  # what the gate counts
        assert not decisions.may_decide(labeler, kind)
        with pytest.raises(NotAllowed):
            decisions.decide(wb, labeler, theme.id, kind, [1])
    with pytest.raises(InvalidInput, match="not removed all at once"):
        repair.remove(wb, labeler, theme.id, "dark")
    with pytest.raises(NotAllowed):
        repair.remove(wb, viewer, theme.id, "blank")
    for act in (repair.one_side, repair.keep_best):
        with pytest.raises(NotAllowed):
            act(wb, labeler, theme.id)
    with pytest.raises(NotAllowed):
        findings.set_rules(wb, labeler, theme.id, {"dark_below": 1})


def test_rules_out_of_range_are_named(wb: Workbench, theme: themes.Theme, trainer: auth.User) -> None:
    with pytest.raises(InvalidInput, match="most_twins"):
        findings.set_rules(wb, trainer, theme.id, {"most_twins": 2})
    with pytest.raises(InvalidInput, match="nonsense"):
        findings.set_rules(wb, trainer, theme.id, {"nonsense": 2})


def test_a_copy_that_came_with_another_label_is_a_finding_until_somebody_says_which_is_right(
    wb: Workbench, theme: themes.Theme, trainer: auth.User, labeler: auth.User
) -> None:
    cat, dog = (label.id for label in theme.labels)
    add(wb, trainer, theme, cat_1=png(1), cat_2=png(2), dog_3=png(3), dog_copy=png(1), other_copy=png(2))
    add(wb, trainer, theme, cat_again=png(3), dog_again=png(2), cat_same=png(1))
    assert with_finding(wb, theme, "contradicted") == {"cat/1.png", "cat/2.png", "dog/3.png"}
    found = findings.standing(wb, theme.id)
    assert (found.counts.conflicts, found.findings["contradicted"]) == (3, 3)
    assert "conflicts" in {line.name for line in found.gate.failed}
    known = {image.file_name: image for image in images.page(wb, theme.id).items}
    assert [known[name].likelier for name in ("cat/1.png", "dog/3.png")] == [
        {"contradicted": dog}, {"contradicted": cat},
    ]  # fmt: skip

    # One is relabelled, of one the label is right, one is not decided.
    images.label(wb, labeler, theme.id, [(known["cat/1.png"].id, dog)])
    assert len(decisions.decide(wb, labeler, theme.id, "contradicted", [known["dog/3.png"].id])) == 1
    assert with_finding(wb, theme, "contradicted") == {"cat/2.png"}
    # What was decided is not asked again, whichever way; a third label is.
    add(wb, trainer, theme, cat_more=png(3), cat_other=png(1))
    assert with_finding(wb, theme, "contradicted") == {"cat/2.png"}
    themes.add_label(wb, trainer, theme.id, name="cow")
    add(wb, trainer, theme, cow_1=png(1), cow_3=png(3))
    assert with_finding(wb, theme, "contradicted") == {
        "cat/1.png",
        "cat/2.png",
    }  # 3 was called right
    assert findings.standing(wb, theme.id).counts.conflicts == 2


def test_what_was_called_fine_by_one_press_is_taken_back_by_one(
    wb: Workbench, theme: themes.Theme, trainer: auth.User, labeler: auth.User
) -> None:
    images.add(wb, trainer, theme.id, [(f"{n}.png", png(n, (300, 30))) for n in range(5)])
    ids = sorted(image.id for image in images.page(wb, theme.id).items)
    decisions.decide(wb, labeler, theme.id, "aspect", ids[:3])
    decisions.decide(wb, trainer, theme.id, "aspect", ids[3:])
    newest, first = decisions.decisions(wb, theme.id)
    assert [(each.kind, each.person, each.images) for each in (newest, first)] == [
        ("aspect", trainer.name, 2), ("aspect", labeler.name, 3),
    ]  # fmt: skip
    assert len(decisions.take_back(wb, labeler, theme.id, first)) == 3
    assert decisions.decisions(wb, theme.id) == [newest]
    assert set(images.ids(wb, theme.id, Filter(finding="aspect")).tolist()) == set(ids[:3])
    assert [entry.action for entry in findings.entries(wb, theme.id)][:3] == ["reopen", "keep", "keep"]


def test_images_that_teach_nothing_are_removed_but_those_of_the_frozen_test_set(
    wb: Workbench, theme: themes.Theme, trainer: auth.User
) -> None:
    blanks = {f"test_cat_{n}": encoded(Image.new("RGB", (64, 64), (n, 90, 30))) for n in (1, 2)}
    add(wb, trainer, theme, **blanks, test_dog_1=png(1), train_cat_1=png(2))
    freezing.freeze(wb, trainer, theme.id, "")
    add(wb, trainer, theme, train_cat_3=encoded(Image.new("RGB", (64, 64), (200, 0, 0))))
    removed = repair.remove(wb, trainer, theme.id, "blank")
    assert len(removed) == 1 and with_finding(wb, theme, "blank") == {"test/cat/1.png", "test/cat/2.png"}
    entry = findings.entries(wb, theme.id)[0]
    assert (entry.action, entry.detail["kind"], entry.detail["images"]) == ("fix", "blank", 1)


def test_twins_that_a_person_keeps_are_no_copies(
    wb: Workbench, theme: themes.Theme, trainer: auth.User
) -> None:
    add(wb, trainer, theme, cat_1=png(1, (96, 64)), cat_2=brighter(1))
    assert findings.standing(wb, theme.id).counts.copies == 1
    ids = [image.id for image in images.page(wb, theme.id).items]
    assert len(decisions.decide(wb, trainer, theme.id, "twin", ids)) == 2
    found = findings.standing(wb, theme.id)
    assert (found.counts.copies, found.findings["twin"], found.kept["twin"]) == (0, 0, 2)
    assert repair.copies(wb, theme.id) == []
    assert len(decisions.decide(wb, trainer, theme.id, "twin", ids, keep=False)) == 2
    assert findings.standing(wb, theme.id).counts.copies == 1


def test_the_histogram_counts_every_image_once(
    wb: Workbench, theme: themes.Theme, trainer: auth.User
) -> None:
    images.add(wb, trainer, theme.id, [(f"{n}.png", png(n, (40, 30))) for n in range(8)])
    for kind in ("dark", "small", "aspect", "blurred"):
        bins = findings.histogram(wb, theme.id, kind)
        assert (len(bins), sum(n for _, n in bins)) == (findings.BINS, 8)


def test_look_alikes_get_the_likelier_label_and_ties_are_left_to_people(
    wb: Workbench, theme: themes.Theme, trainer: auth.User, labeler: auth.User
) -> None:
    cat, dog = (label.id for label in theme.labels)
    files = {f"cat_{n}": png(n, (96, 64)) for n in (1, 2, 3)}
    add(wb, trainer, theme, **files, dog_copy1=brighter(1), dog_copy2=brighter(2), dog_copy3=brighter(3))
    image = picture(1, (96, 64)).point(lambda level: min(255, round(level * 1.04)))
    add(wb, trainer, theme, cat_third=encoded(image))
    known = {image.file_name: image.id for image in images.page(wb, theme.id).items}
    doubted = known["cat/2.png"]
    doubt = {"image_id": doubted, "kind": "mislabelled", "label_id": cat, "guess_id": dog}
    wb.db.write(
        lambda connection: connection.execute(
            image_findings.insert().values(theme_id=theme.id, at=datetime.now(UTC), score=0.1, **doubt)
        )
    )
    assert [group.likelier for group in repair.groups(wb, theme.id)] == [cat, dog, None]
    assert repair.one_label(wb, labeler, theme.id) == 2
    assert with_finding(wb, theme, "conflict") == {"cat/3.png", "dog/copy3.png"}
    labels = {image.file_name: image.label_id for image in images.page(wb, theme.id).items}
    assert (labels["dog/copy1.png"], labels["cat/2.png"], labels["cat/3.png"]) == (cat, dog, cat)
    assert repair.one_label(wb, labeler, theme.id) == 0
    assert repair.one_label(wb, labeler, theme.id, {known["cat/3.png"]: dog}) == 1
    assert with_finding(wb, theme, "conflict") == set() and repair.groups(wb, theme.id) == []
    assert [entry.detail.get("kind") for entry in findings.entries(wb, theme.id)] == ["conflict", "conflict"]


def test_a_frozen_label_decides_for_its_look_alikes(
    wb: Workbench, theme: themes.Theme, trainer: auth.User
) -> None:
    cat, dog = (label.id for label in theme.labels)
    add(wb, trainer, theme, test_dog_1=png(1, (96, 64)))
    freezing.freeze(wb, trainer, theme.id, "before the copies came")
    add(wb, trainer, theme, cat_copy1=brighter(1))
    image = picture(1, (96, 64)).point(lambda level: min(255, round(level * 1.04)))
    add(wb, trainer, theme, cat_third=encoded(image))
    [group] = repair.groups(wb, theme.id)
    assert (group.labels, group.likelier) == ((cat, dog), dog)
    assert repair.one_label(wb, trainer, theme.id, {min(group.images): cat}) == 0
    assert repair.one_label(wb, trainer, theme.id) == 2
    assert repair.groups(wb, theme.id) == []
