"""Collects the marked texts of a source file for the catalogues; named in babel.cfg.

Babel finds them in the tokens. Before Python 3.12 an f-string is one token, so the texts
marked inside it are read from the syntax tree; after that Babel finds them by itself.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import IO, Any

from babel.messages.extract import extract_python

Found = tuple[int, str, str | tuple[str | None, ...], list[str]]
"""Line, function, its arguments (None where one is no text), comments: what Babel wants of an extractor."""


def extract(
    file: IO[bytes], keywords: Mapping[str, Any], comment_tags: Collection[str], options: Mapping[str, Any]
) -> Iterator[Found]:
    yield from extract_python(file, keywords, comment_tags, options)  # type: ignore[arg-type,misc]
    if sys.version_info < (3, 12):
        file.seek(0)
        yield from in_f_strings(file.read(), keywords)


def in_f_strings(source: bytes | str, keywords: Collection[str]) -> Iterator[Found]:
    for string in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.JoinedStr)):
        for call in (node for node in ast.walk(string) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Name) and call.func.id in keywords:
                yield call.lineno, call.func.id, tuple(text_of(argument) for argument in call.args), []


def text_of(argument: ast.expr) -> str | None:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    return None
