"""Files of texts: every format and encoding comes in, and what is wrong is said in one sentence."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidInput, TooLarge, VeritrainError
from core.texts import jsons, reading
from core.texts.reading import Limits, Report

ROWS = [
    {"instruction": "東京の天気は？", "output": "晴れです。\n明日も。"},
    {"instruction": "서울의 날씨는?", "output": '"맑음", 입니다'},
    {"instruction": "Weather, in Paris?", "output": "Sunny"},
]
CSV = (
    "instruction,output\n"
    '東京の天気は？,"晴れです。\n明日も。"\n'
    '서울의 날씨는?,"""맑음"", 입니다"\n"Weather, in Paris?",Sunny\n'
)


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, **options)
    return out.getvalue()


FILES: dict[str, bytes] = {
    "a.csv": CSV.encode(),
    "bom.csv": CSV.encode("utf-8-sig"),
    "utf16.csv": CSV.encode("utf-16"),
    "utf16le.csv": CSV.encode("utf-16-le"),
    "a.tsv": 'instruction\toutput\n東京の天気は？\t"晴れです。\n明日も。"\n서울의 날씨는?\t"""맑음"", 입니다"\n'
    "Weather, in Paris?\tSunny\n".encode(),
    "a.json": json.dumps(ROWS, ensure_ascii=False, indent=2).encode(),
    "data.json": json.dumps({"version": {"data": [1]}, "data": ROWS, "n": 3}).encode(),
    "lines.json": "\n".join(json.dumps(row) for row in ROWS).encode(),
    "a.jsonl": "\r\n\r\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode("utf-16"),
    "a.parquet": parquet({key: [row[key] for row in ROWS] for key in ROWS[0]}),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_every_format_gives_the_same_rows(name: str, packed: bool) -> None:
    data, name = (gzip.compress(FILES[name]), f"{name}.gz") if packed else (FILES[name], name)
    table = reading.read(data, name)
    assert [row.values for row in table.rows] == ROWS
    assert table.report.columns == ["instruction", "output"]
    assert table.report.broken_total == 0
    assert table.report.rows == 3


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp932", "東京の天気は？,晴れです"),
        ("cp949", "서울의 날씨는?,맑습니다"),
        ("euc_kr", "서울의 날씨는?,맑습니다"),
        ("euc_jp", "東京の天気は？,晴れです"),
        ("iso2022_jp", "東京の天気は？,晴れです"),
        ("utf-16-be", "weather 東京,sunny"),
        ("cp1252", "Résumé,voilà"),
    ],
)
def test_the_encoding_is_found(encoding: str, text: str) -> None:
    table = reading.read(f"instruction,output\n{text}\n".encode(encoding), "a.csv")
    assert ",".join(table.rows[0].values.values()) == text
    forced = reading.read(f"instruction,output\n{text}\n".encode(encoding), "a.csv", encoding=encoding)
    assert forced.rows == table.rows


def test_broken_rows_are_named_by_line_and_the_others_kept() -> None:
    data = b'q,a\n1,one\n2\n3,"th\nree"\n4,"four\n5,five\n6,"x"y\n7,\x00\n8,eight\n'
    table = reading.read(data, "a.csv")
    assert [row.values["q"] for row in table.rows] == ["1", "3", "5", "8"]
    assert [row.line for row in table.rows] == [2, 4, 7, 10]
    assert [broken.line for broken in table.report.broken] == [3, 6, 8, 9]
    assert [broken.text for broken in table.report.broken] == [
        "Line 3 has 1 fields where the header has 2; put quotes around text with a separator.",
        'Line 6 has a quote (") that is not closed or not doubled; correct the quotes.',
        'Line 8 has a quote (") that is not closed or not doubled; correct the quotes.',
        "Line 9: “a” holds a NUL character; remove it.",
    ]


def test_broken_elements_of_json_are_named_by_line_and_the_others_kept() -> None:
    text = '[\n{"q": "]},{\\"", "a": [{}]},\n{"q": 1,, },\n\n7, {"q": NaN},\n{"q": "\\ud800"},\n{"q": "é"}\n]'
    table = reading.read(text.encode(), "a.json")
    assert [row.values for row in table.rows] == [{"q": ']},{"', "a": [{}]}, {"q": "é"}]
    assert [(b.line, b.text.split(";")[0]) for b in table.report.broken] == [
        (3, "Line 3 is not valid JSON at character 9"),
        (5, "Line 5 is not a JSON object ({…})"),
        (5, "Line 5 holds a number that JSON does not know"),
        (6, "Line 6: “q” holds half a character (\\ud800–\\udfff)"),
    ]
    lines = reading.read(b'{"q": 1}\n{"q": \n[1]\n{"q": 2}', "a.jsonl")
    assert [row.line for row in lines.rows] == [1, 4]
    assert [b.line for b in lines.report.broken] == [2, 3]


def test_one_damaged_byte_breaks_one_row() -> None:
    data = "q,a\n天気,晴れ\n雨,降る\n風,吹く\n".encode()
    damaged = data.replace("雨".encode(), "雨".encode()[:2])
    table = reading.read(damaged, "a.csv")
    assert [row.values["q"] for row in table.rows] == ["天気", "風"]
    assert table.report.broken[0].text.startswith("Line 3: “q” holds bytes that are not utf-8")


def deep(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.csv", b"", "“a.csv” holds no rows"),
        ("a.csv", b"q,a\n", "“a.csv” holds no rows"),
        ("a.csv", b"q,q\n1,2\n", "“a.csv” has two columns called “q”"),
        ("a.csv", b"q\x00,a\n1,23\n", "The header of “a.csv” holds a NUL"),
        ("a.csv", b'"q,a\n1,2\n', "Line 1 of “a.csv”, the header, has a quote"),
        ("a.csv", bytes(range(256)) * 40, "“a.csv” is not text"),
        ("a.csv", b"\x89PNG\r\n\x1a\n" + bytes(500), "“a.csv” is not text"),
        ("a.csv", ",".join(f"c{n}" for n in range(10_000)).encode() + b"\n1\n", "“a.csv” has 10000 columns"),
        ("a.json", deep(10_000).encode(), "Line 1 nests lists and objects more than 32 deep"),
        ("a.json", f'[{{"a": {deep(10_000)}}}]'.encode(), "Line 1 nests lists and objects more than 32 deep"),
        ("a.json", ('{"a":' * 10_000).encode(), "Line 1 nests lists and objects more than 32 deep"),
        ("a.jsonl", f'{{"a": {deep(10_000)}}}\n'.encode(), "Line 1 nests lists and objects more than 32 deep"),
        ("a.json", b'{"rows": [{"a": 1}]}\n{', "Line 2 is not valid JSON"),
        ("a.json", b'{\n"rows": [{"a": 1}]}', "“a.json” holds no list of rows"),
        ("a.json", b'[\n{"a": 1', "What begins at line 2 is not closed"),
        ("a.json", b'[\n{"a": "1\\', "What begins at line 2 is not closed"),
        ("a.jsonl", b'{"a": ' + b"9" * 5000 + b"}", "Line 1 holds a number"),
        ("a.parquet", b"PAR1" + bytes(50), "“a.parquet” is not a whole Parquet file"),
        ("a.csv.gz", gzip.compress(b"q,a\n1,2\n" * 99)[:-9], "“a.csv.gz” is not a whole gzip file"),
    ],
    ids=range(19),
)  # fmt: skip
def test_what_cannot_be_read_gets_one_sentence(name: str, data: bytes, sentence: str) -> None:
    if name == "a.json" and b"rows" in data and b"\n{" in data:
        table = reading.read(data, name)
        assert table.report.broken[0].text.startswith(sentence)
        return
    with pytest.raises(VeritrainError) as refused:
        reading.read(data, name)
    assert str(refused.value).startswith(sentence)


def test_bombs_are_refused_before_they_unfold() -> None:
    limits = Limits(unpacked=2 << 20, rows=10_000_000)
    with pytest.raises(InvalidInput, match="unpacks to more than 2 MB"):
        reading.read(gzip.compress(b"a,b\n" + b"1,2\n" * 800_000), "a.csv.gz", limits)
    text = "x" * 20_000
    flat = parquet({"a": [text] * 300})
    nested = parquet({"a": [[{"content": text}] * 3] * 100})
    one_row = parquet({"a": [[text] * 300]})
    for bomb in (flat, nested, one_row):
        assert len(bomb) < 100_000
        with pytest.raises(InvalidInput, match="unpacks to more than 2 MB"):
            reading.read(bomb, "a.parquet", limits)
        assert pa.total_allocated_bytes() < 4 << 20
    with pytest.raises(InvalidInput, match="unpacks"):
        reading.read(parquet({"a": [[None] * 1_100_000]}), "a.parquet", limits)


@pytest.mark.parametrize(
    ("limits", "name", "data", "sentence"),
    [
        (Limits(bytes=5), "a.csv", b"q,a\n1,2\n", "“a.csv” is larger than 0 MB"),
        (Limits(rows=1), "a.csv", b"q,a\n1,2\n3,4\n", "“a.csv” has more than 1 rows"),
        (Limits(rows=1), "a.parquet", parquet({"a": ["1", "2"]}), "“a.parquet” has more than 1 rows"),
        (Limits(columns=1), "a.jsonl", b'{"a": 1}\n{"b": 1}\n', "“a.jsonl” has 2 columns"),
        (Limits(columns=1), "a.parquet", parquet({"a": [1], "b": [2]}), "“a.parquet” has 2 columns"),
        (Limits(cell=3), "a.jsonl", b'{"a": ["1234"]}', "Line 1: “a” has 4 characters"),
        (Limits(row=9), "a.jsonl", b'{"a": "1234"}', "Line 1 of “a.jsonl” has more than 9 characters"),
        (Limits(row=9), "a.json", b'[\n\n{"a": "1234567890123"', "“a.json” has a row from line 3 on"),
        (Limits(row=9), "a.csv", b'q,a\n1,"\n2222222\n', 'Line 2 has a quote (")'),
    ],
    ids=range(9),
)
def test_limits(limits: Limits, name: str, data: bytes, sentence: str) -> None:
    with pytest.raises((InvalidInput, TooLarge)) as refused:
        reading.read(data, name, limits)
    assert str(refused.value).startswith(sentence)


def test_a_name_that_misleads_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(FILES["a.parquet"])
    assert reading.read(path, "a.csv").report.format == "parquet"
    assert reading.read(FILES["data.json"], "a").report.format == "json"
    assert reading.read(FILES["a.json"], "a.jsonl").report.format == "json"
    with pytest.raises(InvalidInput, match="not one of"):
        reading.read(b"a", "a", format="xml")
    with pytest.raises(InvalidInput, match="encoding “klingon” is not known"):
        reading.read(b"a", "a.csv", encoding="klingon")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\"\\[]{},:\n", max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


rows_of_any = st.lists(
    st.dictionaries(st.text('xyz"{[', min_size=1, max_size=3), values, min_size=1), min_size=1
)


@settings(deadline=None)
@given(rows_of_any, st.integers(1, 9), st.booleans())
def test_json_is_cut_where_its_elements_end(rows: list[dict[str, Any]], step: int, pretty: bool) -> None:
    text = io.StringIO(json.dumps(rows, ensure_ascii=False, indent=1 if pretty else None))
    report = Report()
    found = list(jsons.read(lambda _: text.read(step), "a", Limits(), report))
    assert [row.values for row in found] == rows
    assert report.broken == []
