"""Pure. Rows of a Parquet file, whose small bytes may stand for very much text."""

from __future__ import annotations

import base64
import datetime
import decimal
import math
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.errors import InvalidInput
from core.texts.tables import Limits, Report, Row, check_columns, check_rows, shown

MAGIC = b"PAR1"
VALUES_A_ROW = 100
"""On average, of all columns and lists; more is a bomb."""
BATCH_ROWS = (16, 2_048)
BATCH_BYTES = 16 << 20


def read(file: IO[bytes], name: str, limits: Limits, report: Report) -> Iterator[Row]:
    """Rows by number. Raises InvalidInput, before much is unpacked, for a file beyond the limits.

    What the file says of its own size is checked first. As one repeated text costs nearly nothing
    there, texts are read as dictionaries, and what they unfold to is counted before they unfold.
    """
    try:
        parquet = pq.ParquetFile(file)
        flat = parquet.schema_arrow
    except (pa.ArrowException, OSError):
        raise _damaged(name) from None
    if len(set(flat.names)) < len(flat.names):
        raise InvalidInput("“{name}” has two columns of one name; rename one of them.", name=shown(name))
    meta = parquet.metadata
    check_columns(name, max(len(flat.names), meta.num_columns // 8), limits)
    check_rows(name, meta.num_rows, limits)
    groups = [meta.row_group(n) for n in range(meta.num_row_groups)]
    values = sum(group.column(n).num_values for group in groups for n in range(meta.num_columns))
    if sum(group.total_byte_size for group in groups) > limits.unpacked or values > (
        VALUES_A_ROW * max(meta.num_rows, 10_000)
    ):
        raise _bomb(name, limits)
    leaves = [
        column.path
        for column in (parquet.schema.column(n) for n in range(meta.num_columns))
        if column.physical_type == "BYTE_ARRAY"
    ]
    report.columns.extend(flat.names)
    average = sum(group.total_byte_size for group in groups) // max(meta.num_rows, 1)
    size = min(max(BATCH_BYTES // max(average, 1), BATCH_ROWS[0]), BATCH_ROWS[1])
    number, unfolded = 0, 0
    try:
        file.seek(0)
        parquet = pq.ParquetFile(file, read_dictionary=leaves)
        for batch in parquet.iter_batches(batch_size=size, use_threads=False):
            unfolded += sum(_unfolded(column) for column in batch.columns)
            if unfolded > limits.unpacked:
                raise _bomb(name, limits)
            for values_of_row in batch.to_pylist():
                number += 1
                yield Row(number, {column: _plain(value) for column, value in values_of_row.items()})
    except (pa.ArrowException, OSError, ValueError):
        raise _damaged(name) from None


def _unfolded(array: pa.Array) -> int:
    """Bytes of the array with every text written out."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        words: Any = array.dictionary  # type: ignore[attr-defined]
        if not (pa.types.is_string(words.type) or pa.types.is_binary(words.type)):
            return array.nbytes
        lengths: Any = pc.binary_length(words)
        return int(pc.sum(lengths.take(array.indices)).as_py() or 0)  # type: ignore[attr-defined]
    if pa.types.is_struct(kind):
        return sum(_unfolded(child) for child in array.flatten())  # type: ignore[attr-defined, misc]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
        if pa.types.is_map(kind):
            return _unfolded(array.keys) + _unfolded(array.items)  # type: ignore[attr-defined]
        return _unfolded(array.flatten())  # type: ignore[attr-defined]
    return array.nbytes


def _plain(value: Any) -> Any:
    """The value in the words of JSON: times as ISO 8601, other bytes than text as base64."""
    if isinstance(value, float) and not math.isfinite(value):
        return None  # how pandas writes that there is nothing
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    return str(value)


def _bomb(name: str, limits: Limits) -> InvalidInput:
    return InvalidInput(
        "“{name}” unpacks to more than {limit} MB; divide it into several files.",
        name=shown(name),
        limit=limits.unpacked >> 20,
    )


def _damaged(name: str) -> InvalidInput:
    return InvalidInput("“{name}” is not a whole Parquet file; write it again.", name=shown(name))
