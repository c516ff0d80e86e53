"""Columns are guessed, rows become records, and records become any format and back without loss."""

from __future__ import annotations

import csv
import io
import json
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.texts import formats, mapping, reading, writing
from core.texts.mapping import Columns
from core.texts.reading import Report, Row
from core.texts.records import Record, Turn

CHAT = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]


@pytest.mark.parametrize(
    ("row", "shape", "of", "sure"),
    [
        (
            {"instruction": "a", "input": "b", "output": "c", "id": 1},
            "alpaca",
            "instruction input output",
            True,
        ),
        ({"Question": "a", "Answer": "c"}, "alpaca", "instruction=Question output=Answer", True),
        ({"質問": "a", "回答": "c"}, "alpaca", "instruction=質問 output=回答", True),
        (
            {"질문": "a", "답변": "c", "시스템": ""},
            "alpaca",
            "instruction=질문 output=답변 system=시스템",
            True,
        ),
        ({"id": "x", "conversations": CHAT}, "chat", "conversation=conversations", True),
        ({"system": "s", "dialog": json.dumps(CHAT)}, "chat", "conversation=dialog system", True),
        ({"source": "a", "target": "b"}, "parallel", "source target", True),
        ({"text_en": "a", "text_ja": "b"}, "parallel", "source=text_en target=text_ja", True),
        ({"x": {"en": "a", "ko": "b"}}, "parallel", "source=x.en target=x.ko", True),
        ({"n": 1, "x": "a", "y": "b"}, "alpaca", "instruction=x output=y", False),
    ],
)
def test_columns_are_guessed(row: dict[str, Any], shape: str, of: str, sure: bool) -> None:
    expected = {field: column or field for field, _, column in (part.partition("=") for part in of.split())}
    assert mapping.guess(list(row), [row]) == Columns(shape, expected, sure)


def test_a_table_without_two_texts_is_refused() -> None:
    with pytest.raises(InvalidInput, match="needs two columns of text"):
        mapping.guess(["a", "n"], [{"a": "x", "n": 1}])


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (Columns("xml", {}), "The shape “xml”"),
        (Columns("alpaca", {"instruction": "a"}), "Choose the column that holds “output”"),
        (Columns("alpaca", {"instruction": "a", "output": "b", "x": "c"}), "“x” is not a field of alpaca"),
        (Columns("parallel", {"source": "a", "target": "z"}), "There is no column “z”"),
    ],
)
def test_wrong_columns_are_refused(columns: Columns, sentence: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        columns.check(["a", "b", "c"])
    assert str(refused.value).startswith(sentence)


def test_rows_that_are_no_records_are_named_and_the_others_kept() -> None:
    rows = [
        Row(2, {"q": "1", "a": 2.5}),
        Row(3, {"q": ["x"], "a": "y"}),
        Row(4, {"q": None, "a": True}),
        Row(5, {"q": "2", "x": 7}),
    ]
    report = Report()
    found = list(formats.records(Columns("alpaca", {"instruction": "q", "output": "a"}), rows, report))
    assert found == [Record.pair("1", "2.5"), Record.pair("2", "", extra={"x": 7})]
    assert found[1].line == 5
    assert [b.text for b in report.broken] == [
        "Line 3: “q” is not text; choose another column or correct it.",
        "Line 4: “a” is not text; choose another column or correct it.",
    ]
    for bad in ("x", [1], [{"role": 1, "content": "x"}], [{"role": "user"}], {"a": 1}, "[" * 9000):
        with pytest.raises(InvalidInput, match="Line 9: “m” is not a conversation"):
            formats.record(Columns("chat", {"conversation": "m"}), {"m": bad}, 9)
    with pytest.raises(InvalidInput, match="is not a list of"):
        formats.record(formats.READ_BACK["alpaca"], {"history": ["x"]})


def test_chat_variants_become_one_record() -> None:
    expected = Record((Turn("user", "hi"), Turn("assistant", "hello")), system="be kind")
    parts = [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]
    for turns in (
        [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": parts},
        ],
        [{"from": "system", "value": "be kind"}, {"from": "Human", "value": "hi"}, CHAT[1]],
    ):
        for cell in (turns, json.dumps(turns)):
            assert formats.record(Columns("chat", {"conversation": "c"}), {"c": cell}) == expected


def test_alpaca_and_sharegpt_say_the_same_to_a_trainer() -> None:
    record = Record.pair("Translate", "犬", "dog", "be brief", {"id": 7})
    assert formats.row(record, "alpaca") == {
        "instruction": "Translate", "input": "dog", "output": "犬", "system": "be brief", "id": 7,
    }  # fmt: skip
    assert formats.row(record, "sharegpt")["conversations"][0] == {
        "from": "human",
        "value": "Translate\n\ndog",
    }
    assert formats.row(record, "messages")["messages"][0] == {"role": "system", "content": "be brief"}


def test_what_a_shape_cannot_hold_is_left_out_and_named() -> None:
    tool = Record((Turn("user", "1+1?"), Turn("tool", "2"), Turn("assistant", "2")), line=3)
    pair = Record.pair("a", "b", line=4)
    out = io.BytesIO()
    report = writing.write([tool, pair], out, "jsonl", "alpaca")
    assert json.loads(out.getvalue()) == {"instruction": "a", "input": "", "output": "b"}
    assert report.rows == 1
    assert report.broken[0].text.startswith("Line 3: Alpaca needs turns of user and assistant")
    assert writing.write([tool, pair], io.BytesIO(), "csv", "parallel").broken_total == 1
    with pytest.raises(InvalidInput, match="shape “xml”"):
        writing.write([pair], io.BytesIO(), "csv", "xml")
    with pytest.raises(InvalidInput, match="format “xml”"):
        writing.write([pair], io.BytesIO(), "xml", "alpaca")


def test_a_spreadsheet_runs_no_cell_of_an_export() -> None:
    record = Record.pair("=HYPERLINK(1)", "+1", "@x", extra={"-c": "\t=1", "'=": "'=1"})
    out = io.BytesIO()
    writing.write([record], out, "csv", "alpaca")
    table = reading.read(out.getvalue(), "a.csv")
    assert formats.record(formats.READ_BACK["alpaca"], table.rows[0].values) == record
    cells = [cell for line in csv.reader(io.StringIO(out.getvalue().decode("utf-8-sig"))) for cell in line]
    assert not any(cell[:1] in "=+-@\t\r" for cell in cells if cell)


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
filled = text.filter(bool)
turns = st.lists(
    st.builds(Turn, st.sampled_from(["user", "assistant", "tool"]), text), min_size=1, max_size=5
).map(tuple)
both = st.tuples(st.builds(Turn, st.just("user"), text), st.builds(Turn, st.just("assistant"), text))
dialogue = st.lists(both, min_size=1, max_size=3).map(lambda pairs: tuple(chain.from_iterable(pairs)))
extras = st.dictionaries(st.sampled_from(["id", "源", "=x"]), filled, max_size=2)
chats = st.builds(Record, turns | dialogue, text, text, extras)
dialogues = st.builds(Record, dialogue, text, text, extras)
pairs = st.builds(lambda s, t, e: Record.pair(s, t, extra=e), text, text, extras)


@pytest.mark.parametrize("file_format", writing.FILE_FORMATS)
@settings(deadline=None)
@given(data=st.data())
def test_files_of_any_kind_bring_the_records_back(file_format: str, data: st.DataObject) -> None:
    shape, kind = data.draw(
        st.sampled_from(
            [("alpaca", dialogues), ("sharegpt", chats), ("messages", chats), ("parallel", pairs)]
        )
    )
    records = data.draw(st.lists(kind, min_size=1, max_size=3))
    out = io.BytesIO()
    assert writing.write(records, out, file_format, shape).rows == len(records)
    table = reading.read(out.getvalue(), f"a.{file_format}")
    columns = formats.READ_BACK[shape]
    back = list(formats.records(columns, table.rows, table.report))
    if file_format == "csv":  # which knows no difference between an empty and a missing cell
        back = [Record(r.turns, r.context, r.system, {k: v for k, v in r.extra.items() if v}) for r in back]
    assert back == records
    assert table.report.broken == []
