"""Rows that belong together are dealt together, the ratios are met, and a seed says everything."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest

from core import auth
from core.datasets import splitting, store
from core.errors import InvalidInput
from core.quality.texts import leakage
from core.texts import rowfile
from core.texts.records import Record
from core.texts.rowfile import SPLITS, DataRow
from core.workbench import Workbench

WORDS = [f"{syllable}{number}" for syllable in ("ka", "mo", "ri", "se") for number in range(50)]


def sentence(n: int, length: int = 40) -> str:
    return " ".join(random.Random(n).choices(WORDS, k=length))


def planted() -> list[tuple[str, Record]]:
    """(group, record): 200 of their own, 20 in nearly equal pairs, 20 that ask the same and answer otherwise."""
    alone = [(f"alone {n}", Record.pair(sentence(n), sentence(n + 1_000))) for n in range(200)]
    near = [
        (
            f"near {n % 10}",
            Record.pair(sentence(2_000 + n % 10, 60), sentence(3_000 + n % 10) + "!" * (n // 10)),
        )
        for n in range(20)
    ]
    asked = [
        (f"asks {n % 5}", Record.pair(sentence(4_000 + n % 5, 8), sentence(5_000 + n))) for n in range(20)
    ]
    return alone + near + asked


def store_of(wb: Workbench, actor: auth.User, name: str, records: list[Record]) -> store.Dataset:
    table = rowfile.table([DataRow(n, record) for n, record in enumerate(records, 1)])
    return store.create(wb, actor, name, table, shape="alpaca")


def sides(wb: Workbench, version: store.Version) -> dict[str, str | None]:
    """Split by content."""
    return {rowfile.content_hash(row.record): row.split for row in rowfile.rows_of(store.table(wb, version))}


def test_what_belongs_together_is_on_one_side(wb: Workbench, labeler: auth.User) -> None:
    rows = planted()
    dataset = store_of(wb, labeler, "x", [record for _, record in rows])
    report = splitting.split(wb, labeler, dataset.id, ratios=(0.8, 0.1, 0.1), seed=3)
    assert (report.dealt, report.kept, report.torn) == ({"train": 192, "valid": 24, "test": 24}, 0, 0)
    assert report.together == 40
    found = [row.split for row in rowfile.rows_of(store.table(wb, report.version))]
    by_group = defaultdict(set)
    for (group, _), split in zip(rows, found, strict=True):
        by_group[group].add(split)
    assert all(len(splits) == 1 for splits in by_group.values())
    assert len(set().union(*(by_group[f"near {n}"] for n in range(10)))) > 1  # not all where most rows are
    of = {name: [r for (_, r), split in zip(rows, found, strict=True) if split == name] for name in SPLITS}
    assert leakage.check(of["train"], of["test"]).findings == []


def test_a_seed_says_everything_whatever_the_order(wb_duckdb: Workbench, labeler: auth.User) -> None:
    records = [record for _, record in planted()]
    mixed = random.Random(1).sample(records, len(records))
    one, two, other = (
        sides(
            wb_duckdb,
            splitting.split(
                wb_duckdb, labeler, store_of(wb_duckdb, labeler, name, some).id, seed=seed
            ).version,
        )
        for name, some, seed in (("a", records, 7), ("b", mixed, 7), ("c", records, 8))
    )
    assert one == two != other


def test_a_template_ties_nothing_together(wb_duckdb: Workbench, labeler: auth.User) -> None:
    ask = "Write a short poem about something that you like."
    dataset = store_of(wb_duckdb, labeler, "x", [Record.pair(ask, sentence(n)) for n in range(100)])
    assert splitting.split(wb_duckdb, labeler, dataset.id).dealt == {"train": 70, "valid": 15, "test": 15}


def test_a_new_row_follows_its_copies_and_waits_where_they_are_torn(
    wb: Workbench, labeler: auth.User
) -> None:
    texts = [sentence(n, 30) for n in range(3)]
    given = [("train", 0), ("test", 1), ("train", 2), ("test", 2), (None, 0), (None, 1), (None, 2)]
    table = rowfile.table(
        [
            DataRow(n, Record.pair(texts[which], texts[which]), split)
            for n, (split, which) in enumerate(given, 1)
        ]
    )
    dataset = store.create(wb, labeler, "x", table, shape="alpaca")
    report = splitting.split(wb, labeler, dataset.id)
    after = [row.split for row in rowfile.rows_of(store.table(wb, report.version))]
    assert after == ["train", "test", "train", "test", "train", "test", None]
    assert (report.kept, report.together, report.torn) == (4, 2, 1)
    assert Counter(report.version.splits) == Counter({"train": 3, "test": 3, "": 1})


def test_a_split_that_is_none_is_refused(wb_duckdb: Workbench, labeler: auth.User) -> None:
    dataset = store_of(wb_duckdb, labeler, "x", [Record.pair("a", "b"), Record.pair("c", "d")])
    for ratios, seed, says in (((0.5, 0.1, 0.1), 1, "add up to 0.7"), ((0.8, 0.1, 0.1), -1, "seed is -1")):
        with pytest.raises(InvalidInput, match=says):
            splitting.split(wb_duckdb, labeler, dataset.id, ratios=ratios, seed=seed)


def test_a_split_makes_no_leak_that_the_check_would_find(wb_duckdb: Workbench, labeler: auth.User) -> None:
    wb, rng = wb_duckdb, random.Random(5)
    records = []
    for _ in range(60):
        passage = " ".join(rng.choices(WORDS, k=30))
        records += [
            Record.pair(" ".join(rng.choices(WORDS, k=8)), " ".join(rng.choices(WORDS, k=8)), passage)
            for _ in range(5)
        ]
    rows = rowfile.table([DataRow(n, record) for n, record in enumerate(records, 1)])
    made = store.create(wb, labeler, "Passages", rows, shape="alpaca")
    splitting.split(wb, labeler, made.id)
    dealt = list(rowfile.rows_of(store.table(wb, store.version(wb, made.id))))
    sides = {name: [row.record for row in dealt if row.split == name] for name in SPLITS}
    assert min(map(len, sides.values())) >= 40
    assert not leakage.check(sides["train"], sides["test"]).findings
