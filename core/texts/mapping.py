"""Pure. Which column of a file holds what: guessed from names and values, checked, corrected by a person."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.errors import InvalidInput
from core.texts.tables import shown

SHAPES = ("alpaca", "chat", "parallel")
"""What a file can hold; "chat" covers ShareGPT (from, value) and messages (role, content)."""

FIELDS: Mapping[str, tuple[str, ...]] = {
    "alpaca": ("instruction", "input", "output", "system", "history"),
    "chat": ("conversation", "system", "input"),
    "parallel": ("source", "target"),
}
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "alpaca": ("instruction", "output"),
    "chat": ("conversation",),
    "parallel": ("source", "target"),
}

_NAMES: Mapping[str, tuple[str, ...]] = {
    "instruction": (
        "instruction", "prompt", "question", "query", "user", "request", "q",
        "指示", "質問", "プロンプト", "問い", "지시", "지시문", "질문", "프롬프트", "명령",
    ),
    "input": ("input", "context", "passage", "document", "入力", "文脈", "コンテキスト", "입력", "문맥", "맥락"),
    "output": (
        "output", "response", "answer", "completion", "reply", "assistant", "chosen", "a",
        "出力", "回答", "応答", "答え", "답변", "출력", "응답", "대답", "정답",
    ),
    "system": ("system", "system_prompt", "システム", "시스템"),
    "history": ("history", "履歴"),
    "conversation": (
        "conversations", "messages", "conversation", "dialog", "dialogue", "chat", "turns", "会話", "対話", "대화",
    ),
    "source": ("source", "src", "source_text", "original", "原文", "원문"),
    "target": ("target", "tgt", "trg", "target_text", "translation", "訳文", "翻訳", "번역", "번역문"),
}  # fmt: skip
"""What people call the columns, the likeliest first."""
_LANGUAGES = frozenset(
    {"en", "english", "英語", "영어", "ja", "jp", "jpn", "japanese", "日本語", "일본어"}
    | {"ko", "kr", "kor", "korean", "韓国語", "한국어", "zh", "cn", "chinese", "中国語", "중국어"}
    | {"de", "fr", "es", "it", "pt", "ru", "vi", "th", "id"}
)
"""What columns of translations are called."""


@dataclass(frozen=True)
class Columns:
    """Which column is which field. A column may be a path into objects: "translation.en"."""

    shape: str
    of: Mapping[str, str] = field(default_factory=dict)
    """Field (see FIELDS) to column; what is not named goes to the record's extra."""
    sure: bool = True
    """False where names said nothing and the order of the columns decided: let a person look."""

    def check(self, columns: Iterable[str] | None = None) -> None:
        """Raises InvalidInput where a field is missing, unknown, or names no column."""
        if self.shape not in SHAPES:
            raise InvalidInput(
                "The shape “{shape}” is not one of: {all}.", shape=shown(self.shape), all=", ".join(SHAPES)
            )
        for name in self.of:
            if name not in FIELDS[self.shape]:
                raise InvalidInput(
                    "“{field}” is not a field of {shape}; its fields are: {all}.",
                    field=shown(name),
                    shape=self.shape,
                    all=", ".join(FIELDS[self.shape]),
                )
        for name in REQUIRED[self.shape]:
            if not self.of.get(name):
                raise InvalidInput("Choose the column that holds “{field}”.", field=name)
        if columns is not None:
            known = set(columns)
            for column in self.of.values():
                if column not in known and column.split(".")[0] not in known:
                    raise InvalidInput("There is no column “{column}”; choose another.", column=shown(column))


def guess(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Columns:
    """The likeliest reading of a table with these columns; `rows` are some of its first.

    A column of conversations comes first, then known names, then two columns named after languages,
    then the first two columns that hold text. Raises InvalidInput where there are not even two.
    """
    keys = {_key(column): column for column in reversed(columns)}
    chat = _named("conversation", keys)
    if chat is None or not _is_chat(chat, rows):
        chat = next((column for column in columns if _is_chat(column, rows)), None)
    if chat is not None:
        return Columns("chat", _found("chat", keys) | {"conversation": chat})
    for shape in ("alpaca", "parallel"):
        found = _found(shape, keys)
        if all(name in found for name in REQUIRED[shape]):
            return Columns(shape, found)
    pair = _languages(columns, rows)
    if pair is not None:
        return Columns("parallel", dict(zip(REQUIRED["parallel"], pair, strict=True)))
    texts = [column for column in columns if any(_is_text(row.get(column)) for row in rows)]
    if len(texts) < 2:
        raise InvalidInput(
            "A text dataset needs two columns of text, such as instruction and output; add one."
        )
    found = _found("alpaca", keys)
    rest = (column for column in texts if column not in found.values())
    for name in REQUIRED["alpaca"]:
        if name not in found:
            spare = next(rest, None)
            if spare is None:
                return Columns("alpaca", dict(zip(REQUIRED["alpaca"], texts, strict=False)), sure=False)
            found[name] = spare
    return Columns("alpaca", found, sure=False)


def value_of(row: Mapping[str, Any], column: str) -> Any:
    """The cell, or what a path (“translation.en”) leads to inside it; None where there is nothing."""
    if column in row:
        return row[column]
    value: Any = row
    for part in column.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _found(shape: str, keys: Mapping[str, str]) -> dict[str, str]:
    found = {name: _named(name, keys) for name in FIELDS[shape]}
    return {name: column for name, column in found.items() if column is not None}


def _named(name: str, keys: Mapping[str, str]) -> str | None:
    return next((keys[known] for known in _NAMES[name] if known in keys), None)


def _key(column: str) -> str:
    return column.strip().casefold().replace(" ", "_").replace("-", "_")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_chat(column: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    for row in rows:
        value = row.get(column)
        if isinstance(value, str) and value.lstrip().startswith("[{"):
            try:
                value = json.loads(value)
            except ValueError:
                return False
        if value:
            return (
                isinstance(value, list) and isinstance(value[0], Mapping) and turn_keys(value[0]) is not None
            )
    return False


TURN_KEYS = (
    ("from", "value"),
    ("role", "content"),
    ("speaker", "text"),
    ("role", "value"),
    ("from", "content"),
)
"""(who, what) of a turn, as formats call them."""


def turn_keys(turn: Mapping[str, Any]) -> tuple[str, str] | None:
    return next((keys for keys in TURN_KEYS if keys[0] in turn and keys[1] in turn), None)


def _languages(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """Two columns, or two keys inside a column of objects, that are named after languages."""
    found = [column for column in columns if _language(column)]
    if len(found) < 2:
        for column in columns:
            value = next((row[column] for row in rows if row.get(column)), None)
            if isinstance(value, Mapping):
                found = [f"{column}.{key}" for key in value if _language(key)]
                if len(found) >= 2:
                    break
    return (found[0], found[1]) if len(found) >= 2 else None


def _language(column: str) -> bool:
    parts = _key(column).split("_")
    return parts[0] in _LANGUAGES or parts[-1] in _LANGUAGES
