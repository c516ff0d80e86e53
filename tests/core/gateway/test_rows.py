"""Rows on their way to a model server: which go together, as what, and their answers as a table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.errors import InvalidInput
from core.gateway import row_tables, rows
from core.gateway.lanes import Lane, Options
from core.gateway.rows import Output, Table
from core.signatures import Column
from tests.elsewhere import RowServer, row_server
from tests.steps import wait_for

COLUMNS = (Column("age", "long", True), Column("city", "string", False))


@pytest.fixture
def server() -> Iterator[RowServer]:
    with row_server() as it:
        yield it


def test_only_rows_with_the_same_columns_go_together(server: RowServer) -> None:
    lane = Lane(Options(images=8, wait=0.005, timeout=20), wire=Table(COLUMNS))
    server.say = str
    server.open.clear()
    asked = [lane.submit([server.url], [(0, None)])]
    wait_for(lambda: server.sent)
    asked += [
        lane.submit([server.url], [row]) for row in ((1, None), (2, None), (3, "Köln"), (4, "Ulm"), (5, None))
    ]
    server.open.set()
    assert [future.result(20) for future in asked] == [
        ["[0]"], ["[1]"], ["[2]"], ["[3, 'Köln']"], ["[4, 'Ulm']"], ["[5]"],
    ]  # fmt: skip
    assert [(table["columns"], len(table["data"])) for table in server.sent] == [
        (["age"], 1), (["age"], 2), (["age", "city"], 2), (["age"], 1),
    ]  # fmt: skip


def test_a_column_without_a_name_is_asked_by_its_values_alone(server: RowServer) -> None:
    lane = Lane(Options(images=8, wait=0.005, timeout=20), wire=Table([Column("", "string", True)]))
    assert lane.submit([server.url], [("a",), ("b",)]).result(20) == ["about a", "about b"]
    assert server.sent == [{"data": [["a"], ["b"]]}]
    with pytest.raises(InvalidInput, match="could not answer these rows"):
        lane.submit([server.url], [("bad",)]).result(20)


def test_answers_are_a_table_that_a_spreadsheet_does_not_run() -> None:
    asked = [{"text": "=1+1"}, {"text": "b"}]
    said = [Output(each, rows.output(each).told) for each in ({"label": "-x", "text": 1}, {"tags": ["a"]})]
    table = row_tables.table(asked, said)
    assert table == [
        {"text": "=1+1", "label": "-x", "output.text": 1, "tags": None},
        {"text": "b", "label": None, "output.text": None, "tags": '["a"]'},
    ]
    assert row_tables.as_csv(table).decode("utf-8-sig").splitlines() == [
        "text,label,output.text,tags",
        "'=1+1,'-x,1,",
        'b,,,"[""a""]"',
    ]
