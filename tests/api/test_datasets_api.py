"""Text datasets as a program uses them: files in, versions and figures, files out."""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core import auth
from core.settings import MIB
from core.workbench import Workbench, set_current
from tests.api.clients import Client, refused

BASE = "v1/admin/training/datasets"
HEAD = "instruction,input,output\n"


def sent(client: Any, data: bytes, file_name: str = "faq.csv", path: str = "", **fields: Any) -> Any:
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in fields.items()}
    return client.post(f"{BASE}{path}", files={"file": (file_name, data)}, data=texts)


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def table(rows: int) -> bytes:
    return (HEAD + "".join(f"How is {n}?,,It is {n * n} then.\n" for n in range(rows))).encode()


def test_a_file_becomes_a_dataset_and_goes_its_way(
    client: Client, labeler: auth.User, trainer: auth.User
) -> None:
    people = client(labeler)
    made = sent(people, table(60), "faq.v1.csv", description="Questions").json()
    assert (made["name"], made["rows"], made["version"], made["status"]) == ("faq", 60, 1, "unchecked")
    assert made["shown"]["source"]["columns"]["of"]["output"] == "output"
    one = f"{BASE}/{made['id']}"

    dealt = people.post(f"{one}/split", json={"ratios": [0.8, 0.1, 0.1], "seed": 7}).json()
    assert (dealt["dealt"], dealt["version"]["created_by"]) == (
        {"train": 48, "valid": 6, "test": 6},
        "labeler",
    )
    before = {row["id"]: row["split"] for row in people.get(f"{one}/rows?page_size=100").json()["items"]}
    more = lines({"instruction": "And you?", "output": "Well."}, {"instruction": "Sure?"})
    added = sent(people, gzip.compress(more), "more.jsonl.gz", f"/{made['id']}/append").json()
    assert added["added"] == 2 and added["version"]["change"]["kind"] == "append"
    rows = people.get(f"{one}/rows?page=2&page_size=60").json()
    assert [row["id"] for row in rows["items"]] == [61, 62] and rows["total"] == 62
    again = people.get(f"{one}/rows?page_size=100").json()["items"]
    assert {row["id"]: row["split"] for row in again} == before | {61: None, 62: None}
    assert people.get(f"{one}/rows?search=AND%20YOU").json()["items"][0]["turns"][1]["content"] == "Well."
    assert people.get(f"{one}/rows?split=none").json()["total"] == 2
    assert people.get(f"{one}/rows?split=test&version=2").json()["total"] == 6

    found = people.get(f"{one}/diff?a=1&b=3").json()
    assert {key: found[key] for key in ("added", "removed", "changed", "resplit")} == {
        "added": 2, "removed": 0, "changed": 0, "resplit": 60,
    }  # fmt: skip
    assert [(each["id"], each["old"]) for each in found["examples"]] == [(61, None), (62, None)]
    assert [each["number"] for each in people.get(f"{one}/versions").json()] == [3, 2, 1]
    stats = people.get(f"{one}/stats?version=1").json()
    assert (stats["rows"], stats["splits"][""], stats["found"]) == (60, 60, None)
    figures = people.get(f"{one}/statistics").json()
    assert figures["tokens_estimated"] and figures["fields"]["instruction"]["characters"]["median"] == 10
    assert figures["examples"]["shortest"][0]["id"] == 62

    assert people.get(f"{BASE}?search=FAQ&status=unchecked").json()["total"] == 1
    assert people.get(f"{BASE}?status=passed").json()["items"] == []
    renamed = people.patch(one, json={"name": "Renamed"}).json()
    assert (renamed["name"], renamed["description"]) == ("Renamed", "Questions")
    described = people.patch(one, json={"description": "From the shop"}).json()
    assert (described["name"], described["description"]) == ("Renamed", "From the shop")
    refused(people.delete(one), 403)
    assert client(trainer).delete(one).json()["deleted_at"]
    assert "no dataset" in refused(people.get(one), 404)
    assert (people.get(BASE).json()["total"], people.get(f"{BASE}?deleted=true").json()["total"]) == (0, 1)
    assert client(trainer).post(f"{one}/restore").json()["version"] == 3
    assert people.get(f"{one}?version=2").json()["shown"]["number"] == 2


@pytest.mark.parametrize("file_format", ["csv", "json", "jsonl", "parquet"])
@pytest.mark.parametrize("shape", ["alpaca", "sharegpt"])
def test_formulas_are_escaped_on_the_way_out_and_taken_back(
    client: Client, labeler: auth.User, file_format: str, shape: str
) -> None:
    rows = [
        {"instruction": '=HYPERLINK("http://x")', "input": "@a", "output": "+1", "note": "-2+3"},
        {"instruction": "'=1", "input": "", "output": "plain, “and” more\n", "note": "\tx"},
    ]
    made = sent(client(labeler), lines(*rows), "evil.jsonl").json()
    answer = client(labeler).post(
        f"{BASE}/{made['id']}/preprocess", params={"output_format": shape, "file_format": file_format}
    )
    assert (answer.status_code, answer.headers["x-rows"], answer.headers["x-rows-left-out"]) == (
        200,
        "2",
        "0",
    )
    name = f"evil-v1-{shape}.{file_format}"
    assert answer.headers["content-disposition"].endswith(name)
    if file_format == "csv":
        cells = [cell for row in csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))) for cell in row]
        assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
        assert shape == "sharegpt" or '\'=HYPERLINK("http://x")' in cells
    again = sent(client(labeler), answer.content, name, name="again").json()
    kept = [client(labeler).get(f"{BASE}/{each['id']}/rows").json()["items"] for each in (made, again)]
    for some in kept:
        for row in some:
            row.pop("line")
    assert kept[0] == kept[1]


def test_rows_that_do_not_fit_a_format_are_counted(client: Client, labeler: auth.User) -> None:
    chat = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    made = sent(client(labeler), lines({"messages": chat[:2]}, {"messages": chat}), "c.jsonl").json()
    one = f"{BASE}/{made['id']}"
    answer = client(labeler).post(f"{one}/preprocess?output_format=alpaca")
    assert (answer.headers["x-rows"], answer.headers["x-rows-left-out"]) == ("1", "1")
    assert answer.json() == {"instruction": "a", "input": "", "output": "b"}
    for query, says in (
        ("output_format=xml", "“xml” is not one of"),
        ("output_format=alpaca&file_format=xls", "“xls” is not one of"),
        ("output_format=alpaca&split=exam", "“exam” is not one of"),
        ("output_format=alpaca&split=train", "split the dataset first"),
        ("output_format=alpaca&version=9", "newest is 1"),
    ):
        refused_with = client(labeler).post(f"{one}/preprocess?{query}")
        assert says in refused(refused_with, 404 if "version" in query else 422)


def test_a_preview_shows_what_a_mapping_does_and_keeps_nothing(client: Client, labeler: auth.User) -> None:
    data = "q;a;b\n" + "".join(f"{n};x;y\n" for n in range(3)) + "too;many;cells;here\n"
    shown = sent(client(labeler), data.encode(), path="/preview").json()
    assert (shown["columns"], shown["sure"], shown["whole"]) == (["q", "a", "b"], True, True)
    assert (shown["read"], [row["line"] for row in shown["broken"]]) == (3, [5])
    mapping = {"shape": "parallel", "of": {"source": "a", "target": "b"}}
    shown = sent(client(labeler), data.encode(), path="/preview", columns=mapping).json()
    assert shown["records"][0]["turns"][1]["content"] == "y" and shown["records"][0]["extra"] == {"q": "0"}
    made = sent(client(labeler), data.encode(), columns=mapping).json()
    assert made["shape"] == "parallel"
    assert client(labeler).get(BASE).json()["total"] == 1


def parquet(columns: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, compression="zstd")
    return out.getvalue()


def bomb() -> bytes:
    """Some hundred kilobytes that unpack to 40 GB."""
    word = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), ["x" * 400_000])
    return parquet({"instruction": word, "output": word})


@pytest.mark.parametrize(
    ("name", "data", "status", "says"),
    [
        ("nul.csv", (HEAD + "a\0b,,c\n").encode(), 422, "Line 2: “instruction” holds a NUL character; remove it."),
        ("deep.json", b"[" * 10_000 + b"]" * 10_000, 422, "nests lists and objects more than 32 deep"),
        ("deep.jsonl", b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 422, "nests lists and objects more than 32 deep"),
        ("wide.csv", ",".join(f"c{n}" for n in range(10_000)).encode() + b"\n1\n", 422, "“wide.csv” has 10000 columns"),
        ("bomb.parquet", bomb(), 422, "“bomb.parquet” unpacks to more than 40 MB; divide it"),
        ("bomb.csv.gz", gzip.compress(HEAD.encode() + b"a,b,c\n" * (8 * MIB)), 422, "unpacks to more than 40 MB"),
        ("half.csv.gz", gzip.compress(table(500))[:-20], 422, "“half.csv.gz” is not a whole gzip file"),
        ("half.parquet", parquet({"a": ["x"], "b": ["y"]})[:-9], 422, "is not a whole Parquet file"),
        ("empty.csv", b"", 422, "“empty.csv” holds no rows"),
        ("head.csv", HEAD.encode(), 422, "“head.csv” holds no rows; add some below the header."),
        ("large.csv", HEAD.encode() + b"x" * (4 * MIB), 413, "“large.csv” is larger than 4 MB; divide it"),
        ("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40, 422, "“picture.png”"),
        ("one.csv", b"text\nhello\n", 422, "two columns of text"),
        ("bad.jsonl", b"{1}\n{2}\n", 422, "Line 1 is not valid JSON at character 2"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value and " " not in value else "",
)  # fmt: skip
def test_a_malformed_file_gets_one_clear_sentence(
    small: None, client: Client, labeler: auth.User, name: str, data: bytes, status: int, says: str
) -> None:
    for path in ("", "/preview"):
        sentence = refused(sent(client(labeler), data, name, path), status)
        assert says in sentence and "\n" not in sentence and len(sentence) < 200
    assert client(labeler).get(BASE).json()["total"] == 0


@pytest.fixture
def small(wb_duckdb: Workbench, client: Client) -> None:
    """Files of 4 MB at most, so that what is over a limit needs no time."""
    set_current(replace(wb_duckdb, settings=replace(wb_duckdb.settings, max_text_bytes=4 * MIB)))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp949", "cp932"])
def test_an_encoding_is_found_out(client: Client, labeler: auth.User, encoding: str) -> None:
    words = "한국어 문장입니다. 고맙습니다" if encoding == "cp949" else "日本語の文章です、ありがとう"
    text = HEAD + "".join(f"{words} {n},,{words}\n" for n in range(30))
    made = sent(client(labeler), text.encode(encoding)).json()
    [row, *_] = client(labeler).get(f"{BASE}/{made['id']}/rows").json()["items"]
    assert row["turns"][0]["content"] == f"{words} 0"


def test_rows_that_cannot_be_read_are_named_by_line_and_the_rest_kept(
    client: Client, labeler: auth.User
) -> None:
    good = {"instruction": "a", "output": "b"}
    data = b"".join(lines(good) + b'{"instruction": 1e999, "output": "b"}\n{"broken"\n' for _ in range(3))
    made = sent(client(labeler), data, "half.jsonl").json()
    source = made["shown"]["source"]
    assert (made["rows"], source["broken_total"]) == (3, 6)
    assert [row["line"] for row in source["broken"]] == [2, 3, 5, 6, 8, 9]
    assert source["broken"][0]["reason"] == "Line 2 holds a number that JSON does not know; correct it."
    floats = parquet({"instruction": ["a"], "output": ["b"], "score": [float("nan")]})
    made = sent(client(labeler), floats, "nan.parquet").json()
    assert client(labeler).get(f"{BASE}/{made['id']}/rows").json()["items"][0]["extra"] == {}


def test_what_makes_no_sense_is_refused_in_a_sentence(
    small: None, client: Client, labeler: auth.User, viewer: auth.User
) -> None:
    people = client(labeler)
    made = sent(people, table(3)).json()
    one = f"{BASE}/{made['id']}"
    refused(sent(client(viewer), table(3)), 403)
    refused(client(viewer).post(f"{one}/preprocess?output_format=alpaca"), 403)
    assert "named “FAQ” already" in refused(sent(people, table(3), "FAQ.csv"), 409)
    assert "“columns” is not JSON like" in refused(sent(people, table(3), columns="{"), 422)
    no_column = {"shape": "alpaca", "of": {"instruction": "instruction", "output": "nope"}}
    assert "no column “nope”" in refused(sent(people, table(3), "b.csv", columns=no_column), 422)
    second = sent(people, table(3), "other.csv").json()
    for body, status, says in (
        ({"name": " "}, 422, "name is empty"),
        ({"name": "x" * 201}, 422, "has 201 characters"),
        ({"name": "a\nb"}, 422, "line break"),
        ({"description": "x" * 10_001}, 422, "has 10001 characters"),
        ({"name": "Faq"}, 409, "named “Faq” already"),
        ({"shape": "chat"}, 422, "shape"),
    ):
        assert says in refused(people.patch(f"{BASE}/{second['id']}", json=body), status)
    refused(client(viewer).patch(one, json={"name": "mine"}), 403)
    assert "no dataset" in refused(people.patch(f"{BASE}/999", json={"name": "x"}), 404)
    assert people.get(f"{BASE}/{second['id']}").json()["name"] == "other"
    other = {"shape": "parallel", "of": {"source": "instruction", "target": "output"}}
    assert "holds alpaca" in refused(
        sent(people, table(3), "b.csv", f"/{made['id']}/append", columns=other), 422
    )
    assert "in the field “file”" in refused(people.post(BASE, json={}), 422)
    assert "there are 0" in refused(people.post(BASE, data={"name": "x"}, files={"x": ("", b"")}), 422)
    two = [("file", ("a.csv", table(1))), ("file", ("b.csv", table(1)))]
    assert "there are 2" in refused(people.post(BASE, files=two), 422)
    assert "too long" in refused(sent(people, table(3), "b.csv", description="x" * 70_000), 422)
    assert "has 10001 characters" in refused(sent(people, table(3), "b.csv", description="x" * 10_001), 422)
    part = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="b.csv"\r\n\r\n'
        + table(3)
        + b"\r\n--b\r\n"
    )
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    assert "cut short" in refused(people.post(BASE, content=part, headers=form), 422)
    assert "An upload can have 4 MB" in refused(sent(people, b"x" * (5 * MIB)), 413)
    assert "add up to 1.2" in refused(people.post(f"{one}/split", json={"ratios": [0.8, 0.2, 0.2]}), 422)
    refused(people.post(f"{one}/split", json={"ratios": [0.8, 0.1, 0.1], "luck": 1}), 422)
    assert "no version 5" in refused(people.get(f"{one}?version=5"), 404)
    assert "one of" in refused(people.get(f"{BASE}?status=good"), 422)
    refused(people.get(f"{one}/rows?page=0"), 422)
    refused(people.get(f"{BASE}/999/rows"), 404)
    assert people.get(BASE).json()["total"] == 2


def test_rows_that_would_not_fit_into_memory_are_refused(
    client: Client, labeler: auth.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = client(labeler)
    made = sent(people, table(6_000)).json()
    monkeypatch.setattr("core.datasets.rows.MAX_BYTES", MIB)
    says = "The rows take more than 1 MB of memory, and a dataset may take no more; divide it or leave some."
    assert refused(sent(people, table(12_000), "large.csv"), 413) == says
    assert refused(sent(people, table(6_000), "more.csv", f"/{made['id']}/append"), 413) == says
    assert [(each["rows"], each["version"]) for each in people.get(BASE).json()["items"]] == [(6_000, 1)]
    assert sent(people, table(10), "more.csv", f"/{made['id']}/append").json()["version"]["rows"] == 6_010


def test_a_large_dataset_is_split_by_a_job(
    client: Client, labeler: auth.User, viewer: auth.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.datasets.splitting.LARGE", 10)
    people = client(labeler)
    one = f"{BASE}/{sent(people, table(20)).json()['id']}/split"
    assert client(viewer).get(one).json() == {
        "running": False, "progress": 0, "error": None, "version_id": None, "torn": 0,
    }  # fmt: skip
    assert "add up to 1.2" in refused(people.post(one, json={"ratios": [0.8, 0.2, 0.2]}), 422)
    started = people.post(one, json={"ratios": [0.8, 0.1, 0.1]})
    assert (started.status_code, started.json()["running"]) == (202, True)
    assert "being split already" in refused(people.post(one), 409)
    refused(client(viewer).post(f"{one}/cancel"), 403)
    assert not people.post(f"{one}/cancel").json()["running"]
    assert "no dataset" in refused(people.get(f"{BASE}/999/split"), 404)
