"""Versions are immutable and exact; rows keep their ids and splits; nobody's work is lost."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core import auth
from core.datasets import diff, splitting, statistics, store, uploads
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from core.texts import rowfile
from core.texts.records import Record
from core.texts.rowfile import DataRow
from core.workbench import Workbench


def rows(*texts: str, first: int = 1) -> list[DataRow]:
    return [DataRow(n, Record.pair(text, f"{text}!", line=n + 1)) for n, text in enumerate(texts, first)]


def made(wb: Workbench, actor: auth.User, name: str, *texts: str) -> store.Dataset:
    return store.create(wb, actor, name, rowfile.table(rows(*texts)), shape="alpaca")


def jsonl(*rows: dict[str, Any]) -> io.BytesIO:
    return io.BytesIO("".join(json.dumps(row) + "\n" for row in rows).encode())


def numbered(first: int, n: int) -> io.BytesIO:
    return jsonl(
        *({"instruction": f"q{i} {i * 7919}", "output": f"a{i * 31}"} for i in range(first, first + n))
    )


def all_rows(wb: Workbench, version: store.Version) -> list[DataRow]:
    return list(rowfile.rows_of(store.table(wb, version)))


def test_a_version_never_changes_and_the_next_says_what_did(
    wb: Workbench, labeler: auth.User, viewer: auth.User
) -> None:
    dataset = made(wb, labeler, "faq", "a", "b", "c")
    first, old = dataset.newest, rows("a", "b", "c")
    new = [old[0], old[2].with_record(Record.pair("c", "better")), *rows("d", first=4)]
    # in any order: the file is by row id
    version = store.add_version(
        wb, labeler, dataset.id, rowfile.table(new[::-1]), {"kind": "edit"}, parent=first.id
    )
    assert all_rows(wb, version) == new and all_rows(wb, first) == old
    assert store.version(wb, dataset.id, 1) == first
    assert (version.number, version.parent_id, version.status) == (2, first.id, "unchecked")
    assert version.change == {"kind": "edit", "added": 1, "removed": 1, "changed": 1, "resplit": 0}
    found = diff.diff(wb, first, version)
    assert [(each.row_id, each.old, each.new) for each in found.examples] == [
        (2, old[1], None),
        (3, old[2], new[1]),
        (4, None, new[2]),
    ]
    same = store.add_version(wb, labeler, dataset.id, rowfile.table(new), {"kind": "edit"}, parent=version.id)
    assert same == version == store.get(wb, dataset.id).newest
    with pytest.raises(InvalidInput, match="1 to 1000000 rows"):
        store.add_version(wb, labeler, dataset.id, rowfile.table([]), {"kind": "edit"}, parent=version.id)
    with pytest.raises(NotAllowed):
        store.add_version(wb, viewer, dataset.id, rowfile.table(old), {"kind": "edit"}, parent=version.id)
    # the id of a row that is gone is not given to another
    shorter = store.add_version(
        wb, labeler, dataset.id, rowfile.table(new[:2]), {"kind": "edit"}, parent=version.id
    )
    longer = uploads.append(wb, labeler, dataset.id, numbered(0, 1), "x.jsonl")
    assert [row.row_id for row in all_rows(wb, longer)] == [1, 3, 5] and longer.parent_id == shorter.id


def test_two_people_at_once_lose_nothing(wb: Workbench, labeler: auth.User, trainer: auth.User) -> None:
    dataset = made(wb, trainer, "faq", "a", "b", "c", "d")
    old, refused, done = rows("a", "b", "c", "d"), [], []
    start = threading.Barrier(4)

    def fix(actor: auth.User, gone: int) -> None:
        left = rowfile.table([row for row in old if row.row_id != gone])
        start.wait()
        try:
            done.append(
                store.add_version(wb, actor, dataset.id, left, {"kind": "edit"}, parent=dataset.newest.id)
            )
        except Conflict as error:
            refused.append(str(error))

    def append(name: str) -> None:
        start.wait()
        done.append(uploads.append(wb, trainer, dataset.id, numbered(0, 50), name))

    work = [(fix, (labeler, 1)), (fix, (trainer, 2)), (append, ("x.jsonl",)), (append, ("y.jsonl",))]
    threads = [threading.Thread(target=what, args=args) for what, args in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # appending goes on top of whatever is there; a fix of rows that somebody changed says so
    assert len(done) + len(refused) == 4 and refused
    assert all("“faq” has version" in sentence and "by now, made by" in sentence for sentence in refused)
    versions = store.versions(wb, dataset.id)
    assert [each.number for each in versions] == list(range(len(done) + 1, 0, -1))
    assert [each.parent_id for each in versions[:-1]] == [each.id for each in versions[1:]]
    newest = all_rows(wb, versions[0])
    assert len({row.row_id for row in newest}) == len(newest) == 104 - (2 - len(refused))


def test_of_two_who_take_one_name_at_once_one_is_told(
    wb: Workbench, labeler: auth.User, trainer: auth.User
) -> None:
    first, second = made(wb, trainer, "one", "a"), made(wb, trainer, "two", "b")
    start, told = threading.Barrier(4), []

    def take(what: Callable[[], object]) -> None:
        start.wait()
        try:
            what()
        except Conflict as error:
            told.append(str(error))

    works: list[Callable[[], object]] = [
        lambda: store.rename(wb, labeler, first.id, name="Faq"),
        lambda: store.rename(wb, trainer, second.id, name="FAQ"),
        lambda: made(wb, labeler, "faq", "c"),
        lambda: made(wb, trainer, "fAq", "d"),
    ]
    threads = [threading.Thread(target=take, args=(each,)) for each in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 3 and all("already" in sentence for sentence in told)
    assert [each.name.casefold() for each in store.listed(wb).items].count("faq") == 1


def test_a_companion_that_fails_leaves_no_version(wb: Workbench, labeler: auth.User) -> None:
    dataset = made(wb, labeler, "faq", "a", "b")

    def also(connection: object, version: store.Version) -> None:
        assert version.number == 2
        raise InvalidInput("No.")

    with pytest.raises(InvalidInput, match="No"):
        store.add_version(
            wb,
            labeler,
            dataset.id,
            rowfile.table(rows("a")),
            {"kind": "x"},
            parent=dataset.newest.id,
            also=also,
        )
    assert [each.number for each in store.versions(wb, dataset.id)] == [1]


def test_deleting_hides_and_restoring_brings_back(
    wb: Workbench, labeler: auth.User, trainer: auth.User
) -> None:
    dataset = made(wb, labeler, "Fragen", "a")
    made(wb, labeler, "other", "b")
    with pytest.raises(NotAllowed):
        store.delete(wb, labeler, dataset.id)
    store.delete(wb, trainer, dataset.id)
    assert [each.name for each in store.listed(wb).items] == ["other"]
    assert [each.name for each in store.listed(wb, deleted=True).items] == ["Fragen"]
    for ask in (store.get, store.versions, store.version):
        with pytest.raises(NotFound, match="no dataset"):
            ask(wb, dataset.id)
    with pytest.raises(NotFound):
        uploads.append(wb, trainer, dataset.id, numbered(0, 1), "x.jsonl")
    taken = made(wb, labeler, "FRAGEN", "c")
    with pytest.raises(Conflict, match="named “Fragen” already"):
        store.restore(wb, trainer, dataset.id)
    assert store.rename(wb, labeler, taken.id, name="Antworten", description="x").description == "x"
    assert store.restore(wb, trainer, dataset.id).newest == dataset.newest
    assert store.listed(wb, search="fragen").total == store.listed(wb, page=3, page_size=1).total - 2 == 1


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb"])
def test_a_name_that_is_none_is_refused_before_the_file_is_read(
    wb_duckdb: Workbench, labeler: auth.User, name: str
) -> None:
    with pytest.raises(InvalidInput, match="The dataset's name"):
        uploads.create(wb_duckdb, labeler, name, io.BytesIO(b"\x00"), "x.csv")


def test_three_hundred_broken_rows_are_named_by_line(wb: Workbench, labeler: auth.User) -> None:
    good = b'{"instruction": "a", "output": "b"}\n'
    no_text = b'{"instruction": {}, "output": "b"}\n'
    data = b"".join(good + (b"{]\n" if n % 2 else no_text) for n in range(300))
    dataset = uploads.create(wb, labeler, "x", io.BytesIO(data), "x.jsonl")
    source = store.get(wb, dataset.id).newest.source
    assert source is not None and source["broken_total"] == 300 and dataset.newest.row_count == 300
    assert [row["line"] for row in source["broken"]] == list(range(2, 602, 2))
    said = [uploads.sentence(row) for row in source["broken"]]
    assert said[0] == "Line 2: “instruction” is not text; choose another column or correct it."
    assert said[299] == "Line 600 is not valid JSON at character 2; correct it."
    assert [row.record.line for row in all_rows(wb, dataset.newest)] == list(range(1, 601, 2))
    many = uploads.create(wb, labeler, "y", io.BytesIO(good + b"{]\n" * 1_500), "y.jsonl").newest.source
    assert many is not None and (len(many["broken"]), many["broken_total"]) == (1_000, 1_500)


def test_appending_keeps_ids_and_splits(wb: Workbench, labeler: auth.User) -> None:
    dataset = uploads.create(wb, labeler, "x", numbered(0, 40), "x.jsonl")
    before = splitting.split(wb, labeler, dataset.id).version
    after = uploads.append(wb, labeler, dataset.id, numbered(40, 10), "more.jsonl")
    kept = all_rows(wb, after)
    assert kept[:40] == all_rows(wb, before)
    assert [(row.row_id, row.split) for row in kept[40:]] == [(n, None) for n in range(41, 51)]
    assert after.splits == before.splits | {"": 10} and after.source is not None
    again = splitting.split(wb, labeler, dataset.id)
    assert (again.kept, sum(again.dealt.values())) == (40, 10)
    assert [row.split for row in all_rows(wb, again.version)[:40]] == [row.split for row in kept[:40]]
    assert splitting.split(wb, labeler, dataset.id).version == again.version
    chat = jsonl({"messages": [{"role": "user", "content": "x"}]})
    with pytest.raises(InvalidInput, match="read as chat and the dataset “x” holds alpaca"):
        uploads.append(wb, labeler, dataset.id, chat, "chat.jsonl")


def test_pages_filter_by_split_text_and_id(wb_duckdb: Workbench, labeler: auth.User) -> None:
    dataset = uploads.create(wb_duckdb, labeler, "x", numbered(0, 25_000), "x.jsonl")
    version = splitting.split(wb_duckdb, labeler, dataset.id).version

    def ids(**what: Any) -> tuple[list[int], int]:
        page = store.page(wb_duckdb, version, **what)
        return [row.row_id for row in page.rows], page.total

    assert ids(offset=19_999, limit=3) == ([20_000, 20_001, 20_002], 25_000)  # over a row group's end
    assert ids(search="Q12345 ") == ([12_346], 1)
    assert ids(ids=[24_000, 3, 99_999]) == ([3, 24_000], 2)
    assert ids(search=".*") == ids(ids=[]) == ids(split="none") == ([], 0)
    everything = {row.row_id: row.split for row in all_rows(wb_duckdb, version)}
    assert ids(split="valid", limit=2, offset=1) == (
        [row_id for row_id, split in everything.items() if split == "valid"][1:3],
        version.splits["valid"],
    )
    for wrong in ({"split": "exam"}, {"limit": 1_001}, {"offset": -1}):
        with pytest.raises(InvalidInput):
            ids(**wrong)
    shown = statistics.examples(wb_duckdb, version)
    assert len(shown.shortest) == len(shown.longest) == 1 and len(shown.others) == 3
    # row ids, not texts, are what the database keeps of them
    assert version.statistics["examples"]["shortest"] == [shown.shortest[0].row_id]


Step = tuple[str, int, str]


@given(
    before=st.dictionaries(st.integers(1, 30), st.sampled_from("abc"), min_size=1),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["add", "remove", "change", "split"]), st.integers(1, 60), st.sampled_from("abcd")
        ),
        max_size=12,
    ),
)
@hypothesis_settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_diff_says_exactly_what_was_done(
    wb_duckdb: Workbench, labeler: auth.User, before: dict[int, str], steps: list[Step]
) -> None:
    old = {n: DataRow(n, Record.pair(text, "x")) for n, text in sorted(before.items())}
    new = dict(old)
    for what, row_id, text in steps:
        if what == "remove" and len(new) > 1:
            new.pop(row_id, None)
        elif what == "add" and row_id not in old:
            new[row_id] = DataRow(row_id, Record.pair(text, "new"))
        elif what == "change" and row_id in new:
            new[row_id] = new[row_id].with_record(Record.pair(text, "x"))
        elif what == "split" and row_id in new:
            new[row_id] = DataRow(row_id, new[row_id].record, "test")
    number = store.listed(wb_duckdb).total
    dataset = store.create(
        wb_duckdb, labeler, f"d{number}", rowfile.table(list(old.values())), shape="alpaca"
    )
    table = rowfile.table([new[n] for n in sorted(new)])
    version = store.add_version(
        wb_duckdb, labeler, dataset.id, table, {"kind": "edit"}, parent=dataset.newest.id
    )
    found = diff.diff(wb_duckdb, dataset.newest, version)
    both = old.keys() & new.keys()
    assert found.added.tolist() == sorted(new.keys() - old.keys())
    assert found.removed.tolist() == sorted(old.keys() - new.keys())
    assert found.changed.tolist() == sorted(n for n in both if old[n].record != new[n].record)
    assert found.resplit.tolist() == sorted(n for n in both if old[n].split != new[n].split)
    assert version.number == (2 if any(found.counts.values()) else 1)
    if version.number == 2:
        assert version.change == {"kind": "edit", **found.counts}
    back = diff.diff(wb_duckdb, version, dataset.newest)
    assert back.counts == found.counts | {"added": len(found.removed), "removed": len(found.added)}
