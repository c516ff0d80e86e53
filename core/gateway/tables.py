"""Pure. Answers of a model as files to take away: CSV, JSON Lines, Parquet; a row an image, in their order."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.cells import escaped
from core.gateway.images import Prediction


def as_csv(answers: Sequence[Prediction], labels: Sequence[str]) -> bytes:
    """file, label, confidence, the probability of each label, error. UTF-8 with a mark for Excel."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["file", "label", "confidence", *(f"p({label})" for label in labels), "error"])
    for answer in answers:
        writer.writerow(
            [
                escaped(answer.name),
                escaped(answer.label or ""),
                "" if answer.confidence is None else f"{answer.confidence:.6f}",
                *(f"{answer.probabilities[label]:.6f}" if answer.probabilities else "" for label in labels),
                escaped(answer.error or ""),
            ]
        )
    return out.getvalue().encode("utf-8-sig")


def as_jsonl(answers: Sequence[Prediction], labels: Sequence[str]) -> bytes:
    """An object an image: file, label, confidence, probabilities by label, error; null where there is none."""
    lines = (
        json.dumps(
            {
                "file": answer.name,
                "label": answer.label,
                "confidence": answer.confidence,
                "probabilities": {label: answer.probabilities[label] for label in labels}
                if answer.probabilities
                else None,
                "error": answer.error,
            },
            ensure_ascii=False,
        )
        for answer in answers
    )
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")


def as_parquet(answers: Sequence[Prediction], labels: Sequence[str]) -> bytes:
    """file, label, confidence, probabilities (a list in the order of `labels`, which the file's metadata has), error."""
    columns: dict[str, pa.Array[Any]] = {
        "file": pa.array([answer.name for answer in answers], pa.string()),
        "label": pa.array([answer.label for answer in answers], pa.string()),
        "confidence": pa.array([answer.confidence for answer in answers], pa.float64()),
        "probabilities": pa.array(
            [
                [answer.probabilities[label] for label in labels] if answer.probabilities else None
                for answer in answers
            ],
            pa.list_(pa.float64()),
        ),
        "error": pa.array([answer.error for answer in answers], pa.string()),
    }
    out = io.BytesIO()
    named = pa.table(columns).replace_schema_metadata({"labels": json.dumps(list(labels))})
    pq.write_table(named, out, compression="zstd")
    return out.getvalue()


FORMATS: Mapping[str, tuple[str, Callable[[Sequence[Prediction], Sequence[str]], bytes]]] = {
    "csv": ("text/csv", as_csv),
    "jsonl": ("application/jsonl", as_jsonl),
    "parquet": ("application/vnd.apache.parquet", as_parquet),
}
"""By file extension: media type, and what writes it."""
