"""Groups read from file names, and the frozen test set: what belongs together stays on one side."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import png

from core import auth, images, runs, splits, themes, transfer
from core.errors import Conflict, InvalidInput, NotAllowed
from core.images import Filter
from core.quality import findings, freezing, frozen, group_names, groups, repair
from core.workbench import Workbench
from tests.steps import ready_theme

PRODUCT = r"(p\d+)_"


@pytest.fixture
def theme(wb: Workbench, trainer: auth.User) -> themes.Theme:
    return themes.create(wb, trainer, name="Products", labels=["good", "bad"])


def add(wb: Workbench, actor: auth.User, theme: themes.Theme, *names: str) -> None:
    """Images that all look different, in the folders of their names."""
    files = [(f"{name}.png", png(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))) for name in names]
    images.add(wb, actor, theme.id, files, label_from_folder=True, split_from_folder=True)


def by_name(wb: Workbench, theme: themes.Theme) -> dict[str, images.Image]:
    return {image.file_name: image for image in images.page(wb, theme.id, limit=1000).items}


def with_finding(wb: Workbench, theme: themes.Theme, kind: str) -> set[str]:
    return {image.file_name for image in images.page(wb, theme.id, Filter(finding=kind)).items}


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(", "cannot be read"),
        (r"(a)\1", "cannot be read"),
        (r"(?=a)(b)", "cannot be read"),
        ("p[0-9]+", "exactly one pair"),
        ("(p)([0-9]+)", "exactly one pair"),
        ("(a)" + "b" * 200, "203 characters; 200"),
        ("(a\0)", "cannot be stored"),
    ],
)
def test_patterns_that_cannot_be_used_say_why(
    wb: Workbench, theme: themes.Theme, trainer: auth.User, pattern: str, says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        groups.preview(wb, theme.id, pattern)
    with pytest.raises(InvalidInput, match=says):
        findings.set_rules(wb, trainer, theme.id, {"group_pattern": pattern})
    assert findings.rules(wb, theme.id).group_pattern == ""


def test_no_pattern_takes_long() -> None:
    """What makes a backtracking matcher run for years is done at once."""
    started = time.monotonic()
    assert group_names.of(["a" * 200 + "!"] * 100, "(?:a+)+(b)") == [None] * 100
    assert time.monotonic() - started < 2


@given(st.lists(st.text(max_size=30)))
def test_every_name_is_read_on_its_own(names: list[str]) -> None:
    names = [name.encode("utf-8", "ignore").decode() for name in names]
    found = group_names.of(names, "(?i)(?:x|^)([^/]*)/")
    assert found == [group_names.of([name], "(?i)(?:x|^)([^/]*)/")[0] for name in names]
    assert all(key is None or key in name for key, name in zip(found, names, strict=True))


def test_a_pattern_is_previewed_saved_and_holds_for_what_comes_later(
    wb: Workbench, theme: themes.Theme, trainer: auth.User
) -> None:
    add(wb, trainer, theme, "good/p1_a", "bad/p1_b", "good/p2_a", "good/other")
    found = groups.preview(wb, theme.id, PRODUCT)
    assert (found.images, found.grouped, found.groups, found.given, found.torn) == (4, 3, 2, 0, 0)
    assert found.largest[0] == groups.Example("p1", 2, ("good/p1_a.png", "bad/p1_b.png"))
    assert found.alone == ("good/other.png",)
    assert {image.group_name for image in by_name(wb, theme).values()} == {None}  # only looked at

    findings.set_rules(wb, trainer, theme.id, {"group_pattern": PRODUCT})
    add(wb, trainer, theme, "good/p2_b")
    groups_of = {name: image.group_name for name, image in by_name(wb, theme).items()}
    assert groups_of == {
        "good/p1_a.png": "p1", "bad/p1_b.png": "p1", "good/p2_a.png": "p2", "good/p2_b.png": "p2",
        "good/other.png": None,
    }  # fmt: skip
    findings.set_rules(wb, trainer, theme.id, {"group_pattern": r"^([a-z]+)/"})
    assert {image.group_name for image in by_name(wb, theme).values()} == {"good", "bad"}
    findings.set_rules(wb, trainer, theme.id, {"group_pattern": ""})
    assert {image.group_name for image in by_name(wb, theme).values()} == {None}


def test_what_an_import_says_of_a_group_counts_more(
    wb: Workbench, theme: themes.Theme, trainer: auth.User, tmp_path: Path
) -> None:
    findings.set_rules(wb, trainer, theme.id, {"group_pattern": PRODUCT})
    add(wb, trainer, theme, "p1_a", "p1_b")
    first = by_name(wb, theme)["p1_a.png"]
    manifest = tmp_path / "list.csv"
    manifest.write_text(f"sha256,group,path\n{first.sha256},patient 7,\n")
    started = transfer.start(wb, trainer, theme.id, manifest, transfer.Options())
    while transfer.get(wb, started.id).status == "running":
        time.sleep(0.02)
    groups_of = {name: image.group_name for name, image in by_name(wb, theme).items()}
    assert groups_of == {"p1_a.png": "patient 7", "p1_b.png": "p1"}
    assert groups.preview(wb, theme.id, PRODUCT).given == 1
    findings.set_rules(wb, trainer, theme.id, {"group_pattern": ""})
    groups_of = {name: image.group_name for name, image in by_name(wb, theme).items()}
    assert groups_of == {"p1_a.png": "patient 7", "p1_b.png": None}


def test_a_group_on_two_sides_is_a_leak_and_is_repaired(
    wb: Workbench, theme: themes.Theme, trainer: auth.User
) -> None:
    add(wb, trainer, theme, "train/good/p1_a", "test/good/p1_b", "train/good/p2_a", "train/bad/p2_b")
    assert findings.standing(wb, theme.id).counts.leaks == 0
    assert groups.preview(wb, theme.id, PRODUCT).torn == 1
    findings.set_rules(wb, trainer, theme.id, {"group_pattern": PRODUCT})
    assert with_finding(wb, theme, "leak") == {"train/good/p1_a.png", "test/good/p1_b.png"}
    [move] = repair.moves(wb, theme.id)
    assert (move.old, move.new) == ("train", "test")
    repair.one_side(wb, trainer, theme.id)
    assert with_finding(wb, theme, "leak") == set()
    add(wb, trainer, theme, "bad/p1_c", "good/p2_c")
    splits.split(wb, trainer, theme.id)
    found = by_name(wb, theme)
    assert (found["bad/p1_c.png"].split, found["good/p2_c.png"].split) == ("test", "train")


def test_an_image_that_joins_a_group_and_look_alikes_of_two_sides_becomes_a_finding(
    wb: Workbench, theme: themes.Theme, trainer: auth.User
) -> None:
    findings.set_rules(wb, trainer, theme.id, {"group_pattern": PRODUCT})
    add(wb, trainer, theme, "train/good/p1_a", "test/good/x")
    like_x = wb.files.read(by_name(wb, theme)["test/good/x.png"].image_path) + b"0"
    images.add(wb, trainer, theme.id, [("good/p1_b.png", like_x)], label_from_folder=True)
    assert splits.split(wb, trainer, theme.id).torn == 1
    assert with_finding(wb, theme, "left_out") == {"good/p1_b.png"}
    assert findings.standing(wb, theme.id).findings["left_out"] == 1
    assert [(move.old, move.new) for move in repair.one_side(wb, trainer, theme.id)] == [("train", "test")]
    assert splits.split(wb, trainer, theme.id).dealt["test"] == 1
    assert with_finding(wb, theme, "left_out") == set()
    assert findings.standing(wb, theme.id).findings["left_out"] == 0


def line(wb: Workbench, theme: themes.Theme) -> tuple[bool, float]:
    [found] = [each for each in findings.standing(wb, theme.id).gate.lines if each.name == "test-set"]
    return found.passed, found.value


def test_the_first_training_freezes_the_test_set(wb: Workbench, trainer: auth.User) -> None:
    theme = ready_theme(wb, trainer)
    assert frozen.get(wb, theme.id) is None and line(wb, theme) == (True, 0)
    tested = images.page(wb, theme.id, Filter(split="test")).items
    names = {label.id: label.name for label in theme.labels}
    runs.start(wb, trainer, theme.id)
    made = frozen.get(wb, theme.id)
    assert made is not None and (made.images, made.by, made.reason) == (len(tested), "trainer", "")
    pairs = sorted([image.sha256, names[image.label_id or 0]] for image in tested)
    lines = "".join(json.dumps(pair, separators=(",", ":")) + "\n" for pair in pairs)
    assert made.hash == hashlib.sha256(lines.encode()).hexdigest()
    assert line(wb, theme) == (True, 0) and frozen.changes(wb, theme.id) == []
    runs.start(wb, trainer, theme.id)  # a second one freezes nothing anew
    assert frozen.get(wb, theme.id) == made
    assert [entry.action for entry in findings.entries(wb, theme.id)] == ["freeze"]


def test_a_frozen_test_set_takes_no_image_and_says_what_changed(wb: Workbench, trainer: auth.User) -> None:
    theme = ready_theme(wb, trainer)
    before = freezing.freeze(wb, trainer, theme.id)
    add(wb, trainer, theme, *[f"{label}/new{n}" for label in ("cat", "dog") for n in range(30)])
    report = splits.split(wb, trainer, theme.id)
    assert report.dealt["test"] == 0 and sum(report.dealt.values()) == 60
    assert report.dealt["valid"] in range(8, 15)
    first, second = images.page(wb, theme.id, Filter(split="test")).items[:2]
    other = next(label.id for label in theme.labels if label.id != first.label_id)
    images.label(wb, trainer, theme.id, [(first.id, other)])
    images.delete(wb, trainer, theme.id, [second.id])
    add(wb, trainer, theme, "test/cat/late")
    late = by_name(wb, theme)["test/cat/late.png"]
    assert line(wb, theme) == (False, 3)
    assert {(each.image_id, each.how) for each in frozen.changes(wb, theme.id)} == {
        (first.id, "relabelled"), (second.id, "gone"), (late.id, "added"),
    }  # fmt: skip
    with pytest.raises(Conflict, match="gate fails"):
        runs.start(wb, trainer, theme.id)
    with pytest.raises(Conflict, match="Say why"):
        freezing.freeze(wb, trainer, theme.id, "  ")
    after = freezing.freeze(wb, trainer, theme.id, "The first was called a cat by mistake.")
    assert (line(wb, theme), after.reason) == ((True, 0), "The first was called a cat by mistake.")
    assert after.hash != before.hash and after.images == before.images
    assert findings.entries(wb, theme.id)[0].detail["reason"] == after.reason


def test_what_belongs_with_the_frozen_test_set_is_left_out(wb: Workbench, trainer: auth.User) -> None:
    theme = ready_theme(wb, trainer)
    tested, *_ = images.page(wb, theme.id, Filter(split="test")).items
    learnt, *_ = images.page(wb, theme.id, Filter(split="train")).items
    freezing.freeze(wb, trainer, theme.id)
    label = next(label.name for label in theme.labels if label.id == tested.label_id)
    other = next(label.name for label in theme.labels if label.id == learnt.label_id)
    copies = {
        f"{label}/copy": tested, f"train/{label}/copy": tested, f"test/{other}/copy": learnt,
    }  # fmt: skip
    files = [(f"{n}.png", wb.files.read(i.image_path) + n.encode()) for n, i in copies.items()]
    images.add(wb, trainer, theme.id, files, label_from_folder=True, split_from_folder=True)
    # The look-alike of a test image that came into train goes out, that of a train image leaves test.
    moves = {(move.old, move.new) for move in repair.one_side(wb, trainer, theme.id)}
    assert moves == {("train", None), ("test", "train")}
    report = splits.split(wb, trainer, theme.id)
    assert (report.held, sum(report.dealt.values())) == (2, 0)
    assert with_finding(wb, theme, "left_out") == {f"{label}/copy.png", f"train/{label}/copy.png"}
    standing = findings.standing(wb, theme.id)
    assert (standing.counts.leaks, line(wb, theme)) == (0, (True, 0))
    # Removing copies takes none of the frozen ones.
    gone = repair.keep_best(wb, trainer, theme.id)
    assert tested.id not in gone and line(wb, theme) == (True, 0)


def test_freezing_is_for_trainers_and_needs_test_images(
    wb: Workbench, theme: themes.Theme, trainer: auth.User, labeler: auth.User
) -> None:
    with pytest.raises(NotAllowed):
        freezing.freeze(wb, labeler, theme.id)
    with pytest.raises(InvalidInput, match="press Split"):
        freezing.freeze(wb, trainer, theme.id)
    with pytest.raises(InvalidInput, match="at most 2000"):
        freezing.freeze(wb, trainer, theme.id, "x" * 2_001)
