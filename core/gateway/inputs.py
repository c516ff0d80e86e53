"""Pure. Requests as JSON: images as base64 or addresses, and MLflow's own protocol."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from core import archives
from core.errors import InvalidInput, VeritrainError
from core.gateway import fetch
from core.gateway.images import Given
from core.settings import Settings

MAX_URLS = 32
"""Images of one request that are fetched from elsewhere, one after the other."""
COLUMN = "image"
"""The one column of our image models."""
FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object of a request. Raises InvalidInput."""
    try:
        found = json.loads(body, parse_constant=_no_number)
    except RecursionError:
        raise InvalidInput("The JSON is nested too deeply; send a list of images.") from None
    except UnicodeDecodeError:
        raise InvalidInput("The request is no JSON, for it is not UTF-8; send the text as UTF-8.") from None
    except ValueError as error:
        raise InvalidInput(
            "The request is no JSON ({reason}); correct it and send it again.", reason=error
        ) from None
    if not isinstance(found, dict):
        raise InvalidInput("The request is no JSON object; send {{“images”: […]}}.")
    return found


def _no_number(name: str) -> Any:
    raise InvalidInput("JSON has no “{name}”; send null or leave it out.", name=name)


def images(settings: Settings, body: dict[str, Any]) -> tuple[Iterator[Given], bool]:
    """What `{"images": [base64 | {"name", "base64"} | {"name", "url"}]}` holds, and whether looking at it takes long.

    Fetching happens while iterating; what cannot be fetched spoils only its own answer. Raises InvalidInput.
    """
    for kind in ("texts", "rows", "users", "user_ids"):
        if kind in body:
            raise InvalidInput("This model answers for images; it takes no “{field}”.", field=kind)
    rows = body.get("images")
    if not isinstance(rows, list) or not rows:
        raise InvalidInput("“images” is missing or empty; send a list of images as base64, or of addresses.")
    if unknown := sorted(body.keys() - {"images"}):
        raise InvalidInput("There is no field “{field}”; leave it out.", field=unknown[0][:50])
    _not_too_many(settings, rows)
    found = [_image(number, row) for number, row in enumerate(rows, 1)]
    urls = sum(isinstance(source, str) for _, source in found)
    if urls > MAX_URLS:
        raise InvalidInput("At most {limit} images of a request can be addresses.", limit=MAX_URLS)

    def given() -> Iterator[Given]:
        for name, source in found:
            yield name, _fetched(settings, source) if isinstance(source, str) else source

    return given(), urls > 0 or any(is_archive(source) for _, source in found if isinstance(source, bytes))


def is_archive(data: bytes) -> bool:
    return archives.kind_of(data[:512]) is not None


def frame(settings: Settings, body: dict[str, Any]) -> list[tuple[str, bytes]]:
    """The images of a request in MLflow's protocol, a row each, so no archives. Raises InvalidInput."""
    kind = form(body)
    cells = {
        "dataframe_split": _split,
        "dataframe_records": _records,
        "instances": _instances,
        "inputs": _inputs,
    }[kind](body[kind])
    if not cells:
        raise InvalidInput("“{field}” has no rows; send at least one.", field=kind)
    _not_too_many(settings, cells)
    found = [(f"image {number}", _decoded(f"image {number}", cell)) for number, cell in enumerate(cells, 1)]
    for name, data in found:
        if is_archive(data):
            raise InvalidInput("“{name}” is an archive; send the images themselves.", name=name)
    return found


def form(body: Mapping[str, Any]) -> str:
    """Which of FORMATS a request in MLflow's protocol has. Raises InvalidInput."""
    present = [name for name in FORMATS if name in body]
    if len(present) != 1:
        raise InvalidInput(
            "Send exactly one of {all}; this request has {count}.",
            all=", ".join(FORMATS),
            count=len(present),
        )
    return present[0]


def split_rows(value: Any, check: Callable[[list[Any]], None] = lambda columns: None) -> list[list[Any]]:
    """The `data` of a `dataframe_split`, each row as long as its `columns`, which `check` sees. Raises InvalidInput."""
    columns = value.get("columns") if isinstance(value, dict) else None
    rows = value.get("data") if isinstance(value, dict) else None
    if not isinstance(columns, list) or not isinstance(rows, list):
        raise InvalidInput("“dataframe_split” is an object with “columns” and “data”, each a list.")
    check(columns)
    if not all(isinstance(row, list) and len(row) == len(columns) for row in rows):
        raise InvalidInput("Each row of “data” is a list with one value for each of “columns”.")
    return rows


def _split(value: Any) -> list[Any]:
    rows = split_rows(value, _has_column)
    place = value["columns"].index(COLUMN)
    return [row[place] for row in rows]


def _records(value: Any, name: str = "dataframe_records") -> list[Any]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise InvalidInput("“{field}” is a list of objects, each with “image”.", field=name)
    for row in value:
        _has_column(row)
    return [row[COLUMN] for row in value]


def _instances(value: Any, name: str = "instances") -> list[Any]:
    """By row; a model of one column takes its values alone, too."""
    if isinstance(value, list) and all(isinstance(row, str) for row in value):
        return value
    return _records(value, name)


def _inputs(value: Any) -> list[Any]:
    """By column or by row."""
    if isinstance(value, list):
        return _instances(value, "inputs")
    if not isinstance(value, dict):
        raise InvalidInput("“inputs” is an object with “image”, a list of images.")
    _has_column(value)
    column = value[COLUMN]
    return column if isinstance(column, list) else [column]


def _has_column(found: Iterable[Any]) -> None:
    """Further columns are left alone, as MLflow does."""
    names = list(found)
    if COLUMN not in names:
        said = ", ".join(map(str, names))[:100] or "–"
        raise InvalidInput("The column “image” is missing; there is “{columns}”.", columns=said)


def _image(number: int, row: Any) -> tuple[str, bytes | str]:
    """(name, bytes or address) of one of `images`."""
    name = f"image {number}"
    if isinstance(row, str):
        return name, _decoded(name, row)
    if not isinstance(row, dict):
        raise InvalidInput("“{name}” is neither base64 nor an object with “base64” or “url”.", name=name)
    given = row.get("name", name)
    if not isinstance(given, str) or not 0 < len(given) <= 200:
        raise InvalidInput("The “name” of “{name}” is no text of up to 200 characters.", name=name)
    if row.keys() - {"name"} == {"base64"}:
        return given, _decoded(given, row["base64"])
    if row.keys() - {"name"} == {"url"} and isinstance(row["url"], str):
        return given, row["url"]
    raise InvalidInput("“{name}” has to have either “base64” or “url”, as text.", name=given)


def _decoded(name: str, text: Any) -> bytes:
    if not isinstance(text, str):
        raise InvalidInput("“{name}” is no text; send the image's bytes as base64.", name=name)
    if text.startswith("data:"):  # as a browser's FileReader gives it
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("“{name}” is not base64; encode the image's bytes anew.", name=name) from None


def _fetched(settings: Settings, url: str) -> bytes | VeritrainError:
    try:
        return fetch.fetch(url, settings.predict_hosts, settings.max_file_bytes)
    except VeritrainError as error:
        return error


def _not_too_many(settings: Settings, rows: list[Any]) -> None:
    if len(rows) > settings.predict_images:
        raise InvalidInput(
            "Predict at most {limit} images at once; send the rest after.", limit=settings.predict_images
        )
