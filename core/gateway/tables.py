"""Pure. Answers of a model as files to take away: CSV, JSON Lines, Parquet; a row an image, in their order."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from core.cells import escaped
from core.gateway.images import Prediction


class Row(NamedTuple):
    """The answer for one file, or why there is none."""

    file: str
    label: str | None
    confidence: float | None
    shares: Sequence[float] | None
    """The probability of each label, in the order of the model's labels."""
    error: str | None


def rows(answers: Iterable[Prediction], labels: Sequence[str]) -> Iterator[Row]:
    for each in answers:
        shares = [each.probabilities[label] for label in labels] if each.probabilities else None
        yield Row(each.name, each.label, each.confidence, shares, each.error)


def csv_lines(found: Iterable[Row], labels: Sequence[str]) -> Iterator[bytes]:
    """file, label, confidence, the probability of each label, error. UTF-8 with a mark for Excel."""
    out = io.StringIO()
    writer = csv.writer(out)
    out.write("\ufeff")
    writer.writerow(["file", "label", "confidence", *(f"p({label})" for label in labels), "error"])
    for row in found:
        writer.writerow(
            [
                escaped(row.file),
                escaped(row.label or ""),
                "" if row.confidence is None else f"{row.confidence:.6f}",
                *([""] * len(labels) if row.shares is None else (f"{p:.6f}" for p in row.shares)),
                escaped(row.error or ""),
            ]
        )
        yield _taken(out)
    yield _taken(out)


def jsonl_lines(found: Iterable[Row], labels: Sequence[str]) -> Iterator[bytes]:
    """An object an image: file, label, confidence, probabilities by label, error; null where there is none."""
    for row in found:
        said = {
            "file": row.file,
            "label": row.label,
            "confidence": row.confidence,
            "probabilities": dict(zip(labels, row.shares, strict=True)) if row.shares is not None else None,
            "error": row.error,
        }
        yield f"{json.dumps(said, ensure_ascii=False)}\n".encode("utf-8", "surrogatepass")


def schema(labels: Sequence[str]) -> pa.Schema:
    """file, label, confidence, probabilities (a list in the order of `labels`, which the metadata has), error."""
    fields: list[pa.Field[Any]] = [
        pa.field("file", pa.string()),
        pa.field("label", pa.string()),
        pa.field("confidence", pa.float64()),
        pa.field("probabilities", pa.list_(pa.float64())),
        pa.field("error", pa.string()),
    ]
    return pa.schema(fields, {"labels": json.dumps(list(labels))})


def table(found: Iterable[Row], labels: Sequence[str]) -> pa.Table:
    """The rows in this schema."""
    wanted = schema(labels)
    columns = list(zip(*found, strict=True)) or [()] * len(wanted)
    arrays = [pa.array(list(values), field.type) for values, field in zip(columns, wanted, strict=True)]
    return pa.Table.from_arrays(arrays, schema=wanted)


def rows_of(found: pa.Table) -> Iterator[Row]:
    """What `table` was made of."""
    columns = [found[name].to_pylist() for name in found.column_names]
    yield from map(Row._make, zip(*columns, strict=True))


def as_csv(answers: Iterable[Prediction], labels: Sequence[str]) -> bytes:
    return b"".join(csv_lines(rows(answers, labels), labels))


def as_jsonl(answers: Iterable[Prediction], labels: Sequence[str]) -> bytes:
    return b"".join(jsonl_lines(rows(answers, labels), labels))


def as_parquet(answers: Iterable[Prediction], labels: Sequence[str]) -> bytes:
    out = io.BytesIO()
    pq.write_table(table(rows(answers, labels), labels), out, compression="zstd")
    return out.getvalue()


def _taken(out: io.StringIO) -> bytes:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text.encode("utf-8")


FORMATS: Mapping[str, tuple[str, Callable[[Sequence[Prediction], Sequence[str]], bytes]]] = {
    "csv": ("text/csv", as_csv),
    "jsonl": ("application/jsonl", as_jsonl),
    "parquet": ("application/vnd.apache.parquet", as_parquet),
}
"""By file extension: media type, and what writes it."""
LINES: Mapping[str, Callable[[Iterable[Row], Sequence[str]], Iterator[bytes]]] = {
    "csv": csv_lines,
    "jsonl": jsonl_lines,
}
"""By file extension: what writes it line by line."""
