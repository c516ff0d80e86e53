"""Lengths are those that plain Python counts; tokens are a tokenizer's, or an estimate by the written rule."""

from __future__ import annotations

import statistics as plain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from core.errors import InvalidInput, Unavailable
from core.settings import Settings
from core.texts import rowfile, statistics
from core.texts.records import Record, Turn
from core.texts.rowfile import DataRow
from core.texts.tokens import Counter

text = st.text(st.characters(codec="utf-8"), max_size=30)
records = st.builds(
    Record,
    st.lists(st.builds(Turn, st.sampled_from(["user", "assistant", "tool", "judge"]), text), max_size=4).map(
        tuple
    ),
    text,
    text,
)


@given(st.lists(records, min_size=1, max_size=8))
def test_lengths_are_those_of_the_texts(given: list[Record]) -> None:
    rows = [DataRow(3 * n, record, "train" if n % 2 else None) for n, record in enumerate(given, 1)]
    table = rowfile.table(rows)
    found = statistics.of([table.slice(0, 2), table.slice(2)], Counter())
    wholes = [sum(map(len, [*(turn.content for turn in r.turns), r.context, r.system])) for r in given]
    characters = found["whole"]["characters"]
    assert (characters["min"], characters["max"], characters["total"]) == (
        min(wholes),
        max(wholes),
        sum(wholes),
    )
    assert characters["median"] == plain.median_low(wholes)
    assert sum(characters["histogram"]) == len(given) == found["whole"]["texts"]
    by_name = {name: entry["characters"]["total"] for name, entry in found["fields"].items()}
    assert sum(by_name.values()) == sum(wholes)
    assert by_name.get("system", 0) == sum(len(r.system) for r in given)
    pairs = all(r.is_pair for r in given)
    answers = sum(len(t.content) for r in given for t in r.turns if t.role == "assistant")
    assert by_name.get("output" if pairs else "assistant", 0) == answers
    others = sum(len(t.content) for r in given for t in r.turns if t.role == "judge")
    assert by_name.get("other", 0) == others
    examples = found["examples"]
    assert wholes[examples["shortest"][0] // 3 - 1] == min(wholes)
    assert wholes[examples["longest"][0] // 3 - 1] == max(wholes)
    assert statistics.splits(table) == {
        "train": (len(given) + 1) // 2, "valid": 0, "test": 0, "": len(given) // 2,
    }  # fmt: skip
    assert list(rowfile.rows_of(table)) == rows


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("  \n\t\u3000", 0),
        ("Hello, world!", 4),
        ("naïve cafés in 2026", 4),
        ("日本語です。", 6),
        ("한국어 문장", 5),
        ("GPUで学習する", 6),
        ("don't 🙂", 4),
    ],
)
def test_tokens_are_estimated_by_the_rule(text: str, tokens: int) -> None:
    assert Counter().count(pa.array([text])).tolist() == [tokens]


def test_a_tokenizer_counts_where_there_is_one(tmp_path: Path) -> None:
    made = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.enable_truncation(2)
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    settings = Settings.from_env({"VERITRAIN_TOKENIZER": str(path)})
    counter = Counter(settings.tokenizer)
    assert not counter.estimated and np.array_equal(counter.count(pa.array(["a b, c", ""])), [4, 0])
    rows = rowfile.table([DataRow(1, Record.pair("a b", "日本"))])
    assert statistics.of([rows], counter)["whole"]["tokens"]["total"] == 3
    assert statistics.of([rows], counter)["tokenizer"] == "tokenizer.json"
    path.write_text("{}")
    with pytest.raises(Unavailable, match="VERITRAIN_TOKENIZER"):
        Counter(path.with_name("other.json")).count(pa.array(["a"]))
    with pytest.raises(InvalidInput, match=r"VERITRAIN_TOKENIZER is .* no such file"):
        Settings.from_env({"VERITRAIN_TOKENIZER": str(tmp_path / "nothing.json")})
