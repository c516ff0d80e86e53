from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from pictures import encoded, picture, png

from core import auth, images, snapshots, splits, themes
from core.errors import InvalidInput, NotAllowed
from core.images import SPLITS
from core.quality import findings
from core.splits import RATIOS, shares_of
from core.workbench import Workbench


def dealt(wb: Workbench, theme_id: int) -> dict[str, str | None]:
    return {image.file_name: image.split for image in images.page(wb, theme_id, limit=1000).items}


def labelled(label: str, start: int, n: int) -> list[tuple[str, bytes]]:
    return [(f"{label}/{seed}.png", png(seed, (8, 8))) for seed in range(start, start + n)]


def test_old_images_stay_and_new_ones_are_dealt_by_label(wb: Workbench, trainer: auth.User) -> None:
    theme = themes.create(wb, trainer, name="Animals", labels=["cat", "dog"])
    first = labelled("cat", 0, 40) + labelled("dog", 100, 20) + [("later.png", png(999))]
    images.add(wb, trainer, theme.id, first, label_from_folder=True)
    report = splits.split(wb, trainer, theme.id)
    assert report.dealt == {"train": 42, "valid": 9, "test": 9}
    assert (report.kept, report.unlabelled, report.seed) == (0, 1, 42)
    before = dealt(wb, theme.id)
    images.add(wb, trainer, theme.id, labelled("cat", 200, 20), label_from_folder=True)
    report = splits.split(wb, trainer, theme.id)
    assert (report.dealt, report.kept) == ({"train": 14, "valid": 3, "test": 3}, 60)
    after = dealt(wb, theme.id)
    assert {name: after[name] for name in before} == before
    assert after["later.png"] is None
    by_label = images.statistics(wb, theme.id).by_label_split
    assert by_label[theme.labels[0].id] == {"train": 42, "valid": 9, "test": 9}


def test_the_same_images_and_seed_give_the_same_split_anywhere(wb: Workbench, trainer: auth.User) -> None:
    def deal(name: str, files: list[tuple[str, bytes]], seed: int) -> dict[str, str | None]:
        theme = themes.create(wb, trainer, name=name, labels=["cat"])
        images.add(wb, trainer, theme.id, files, label_from_folder=True)
        splits.split(wb, trainer, theme.id, seed=seed)
        return dealt(wb, theme.id)

    files = labelled("cat", 0, 30)
    assert deal("a", files, 7) == deal("b", files[::-1], 7) != deal("c", files, 8)


@pytest.mark.parametrize(
    ("ratios", "says"),
    [
        ((0.7, 0.2, 0.2), "add up to 1.1, not to 1"),
        ((0.5, 0.2, 0.2), "add up to 0.9, not to 1"),
        ((1.2, -0.1, -0.1), "between 0 and 1"),
        ((float("nan"), 0.5, 0.5), "between 0 and 1"),
        ((0.5, 0.5), "there are 2"),
        ((0, 0.5, 0.5), "train is 0"),
    ],
)
def test_ratios_that_are_none_are_refused(
    wb_duckdb: Workbench, trainer: auth.User, ratios: tuple[float, ...], says: str
) -> None:
    theme = themes.create(wb_duckdb, trainer, name="Animals")
    with pytest.raises(InvalidInput, match=says):
        splits.split(wb_duckdb, trainer, theme.id, ratios=ratios)


def test_splitting_is_for_trainers_and_has_a_plain_seed(
    wb_duckdb: Workbench, trainer: auth.User, labeler: auth.User
) -> None:
    theme = themes.create(wb_duckdb, trainer, name="Animals")
    with pytest.raises(NotAllowed):
        splits.split(wb_duckdb, labeler, theme.id)
    with pytest.raises(InvalidInput, match="seed"):
        splits.split(wb_duckdb, trainer, theme.id, seed=-1)
    assert splits.split(wb_duckdb, trainer, theme.id).dealt == {"train": 0, "valid": 0, "test": 0}


ratio_lists = st.tuples(st.integers(1, 100), st.integers(0, 100), st.integers(0, 100)).map(
    lambda parts: tuple(part / sum(parts) for part in parts)
)


@given(additions=st.lists(st.integers(0, 60), min_size=1, max_size=8), ratios=ratio_lists, seed=st.text())
def test_repeated_dealing_approaches_the_ratios(
    additions: list[int], ratios: tuple[float, float, float], seed: str
) -> None:
    """Old counts never fall, all new images are dealt, and no split strays further than it must."""
    have = dict.fromkeys(SPLITS, 0)
    for fresh in additions:
        plan = shares_of(fresh, have, ratios, seed)
        assert sum(plan.values()) == fresh and min(plan.values()) >= 0
        have = {name: have[name] + plan[name] for name in SPLITS}
        total = sum(have.values())
        for name, ratio in zip(SPLITS, ratios, strict=True):
            # Two images: one of rounding, one lent to a split that would be empty.
            assert abs(have[name] - ratio * total) <= 2 + 1e-6
            if ratio == 0:
                assert have[name] == 0


@given(fresh=st.integers(3, 200), seed=st.text())
def test_each_label_with_three_images_is_in_every_split(fresh: int, seed: str) -> None:
    assert min(shares_of(fresh, {}, RATIOS, seed).values()) >= 1


def test_over_many_small_labels_no_split_gains() -> None:
    total = dict.fromkeys(SPLITS, 0)
    for label in range(400):
        for name, n in shares_of(10, {}, RATIOS, f"42:{label}").items():
            total[name] += n
    assert total["train"] == 2800 and abs(total["valid"] - 600) < 60


def test_uploaded_train_and_test_folders_give_valid_from_train_once(
    wb: Workbench, trainer: auth.User
) -> None:
    theme = themes.create(wb, trainer, name="Folders").id
    files = [
        (f"{split}/{label}/{n}.png", png(seed))
        for seed, (split, label, n) in enumerate(
            (split, label, n)
            for split, many in (("train", 10), ("test", 4))
            for label in "ab"
            for n in range(many)
        )
    ]
    options = {"label_from_folder": True, "create_labels": True, "split_from_folder": True}
    images.add(wb, trainer, theme, files, **options)
    tested = {image.id for image in images.page(wb, theme, images.Filter(split="test")).items}
    report = splits.split(wb, trainer, theme)
    assert (report.dealt, report.kept) == ({"train": 0, "valid": 4, "test": 0}, 24)
    assert {image.id for image in images.page(wb, theme, images.Filter(split="test")).items} == tested
    assert splits.split(wb, trainer, theme).dealt["valid"] == 0


def test_valid_is_taken_from_train_without_tearing_look_alikes_or_groups_apart(
    wb: Workbench, trainer: auth.User
) -> None:
    theme = themes.create(wb, trainer, name="Twins").id
    pictures = [picture(n, (96, 64)) for n in range(24)]
    files = [(f"train/{'ab'[n % 2]}/{n}.png", encoded(image)) for n, image in enumerate(pictures)]
    files += [
        (f"train/{'ab'[n % 2]}/{n}-again.png", encoded(pictures[n].resize((80, 53)))) for n in range(0, 24, 2)
    ]
    files += [(f"test/{'ab'[n % 2]}/t{n}.png", png(100 + n)) for n in range(6)]
    options = {"label_from_folder": True, "create_labels": True, "split_from_folder": True}
    images.add(wb, trainer, theme, files, **options)
    findings.set_rules(wb, trainer, theme, {"group_pattern": r"(b)/[13579]\.png$"})
    before = findings.standing(wb, theme).findings
    assert (before["leak"], before["twin"]) == (0, 24)
    report = splits.split(wb, trainer, theme)
    assert report.dealt["valid"] > 0
    assert findings.standing(wb, theme).findings["leak"] == 0
    by_label = images.statistics(wb, theme).by_label_split
    assert all(each["valid"] >= 1 for each in by_label.values())


def test_valid_is_not_taken_from_data_a_model_may_have_learnt_from(wb: Workbench, trainer: auth.User) -> None:
    theme = themes.create(wb, trainer, name="Used").id
    files = [(f"train/{'ab'[n % 2]}/{n}.png", png(n)) for n in range(12)]
    images.add(wb, trainer, theme, files, label_from_folder=True, create_labels=True, split_from_folder=True)
    snapshots.freeze(wb, trainer, theme)
    assert splits.split(wb, trainer, theme).dealt == {"train": 0, "valid": 0, "test": 0}


def test_images_of_one_group_fall_into_one_split_for_ever(wb: Workbench, trainer: auth.User) -> None:
    theme = themes.create(wb, trainer, name="Groups", labels=["cat", "dog"])

    def add(numbers: range) -> None:
        images.add(wb, trainer, theme.id, [(f"{n}.png", png(n, (8, 8))) for n in numbers])
        found = {image.file_name: image.id for image in images.page(wb, theme.id, limit=1000).items}
        cat, dog = (label.id for label in theme.labels)
        chosen = [(found[f"{n}.png"], (cat, dog)[n % 2]) for n in numbers]
        images.label(wb, trainer, theme.id, chosen)
        grouped = [{"i": found[f"{n}.png"], "g": f"group {n % 12}"} for n in numbers if n % 12 < 9]
        update = sa.text("UPDATE train_data SET group_name = :g WHERE id = :i")
        wb.db.write(lambda connection: [connection.execute(update, each) for each in grouped] and None)

    add(range(60))
    report = splits.split(wb, trainer, theme.id)
    assert sum(report.dealt.values()) == 60
    assert all(report.dealt.values())  # each split got some
    before = by_group(wb, theme.id)
    assert all(len(of) == 1 for group, of in before.items() if group is not None)
    add(range(60, 84))
    assert sum(splits.split(wb, trainer, theme.id).dealt.values()) == 24
    assert {g: of for g, of in by_group(wb, theme.id).items() if g} == {
        g: of for g, of in before.items() if g
    }


def by_group(wb: Workbench, theme_id: int) -> dict[str | None, set[str | None]]:
    found: dict[str | None, set[str | None]] = {}
    for image in images.page(wb, theme_id, limit=1000).items:
        found.setdefault(image.group_name, set()).add(image.split)
    return found
