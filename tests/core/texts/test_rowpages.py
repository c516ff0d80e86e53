"""A row file is written anew part by part, and says what the same rows say as a whole."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.texts import rowfile, rowpages
from core.texts.records import Record
from core.texts.rowfile import SPLITS, DataRow


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rowfile, "GROUP_ROWS", 4)


@given(
    before=st.dictionaries(st.integers(1, 40), st.sampled_from([None, *SPLITS]), min_size=1, max_size=25),
    touched=st.dictionaries(st.integers(1, 40), st.booleans(), max_size=25),
    group=st.integers(1, 7),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_go_and_change_in_their_places(
    small_groups: None, before: dict[int, str | None], touched: dict[int, bool], group: int
) -> None:
    """`touched`: by row id, whether the row goes or says something else."""
    rows = {n: DataRow(n, Record.pair(f"q{n}", "a"), before[n]) for n in sorted(before)}
    removed = {n for n, goes in touched.items() if goes and n in rows}
    changed = {
        n: rows[n].with_record(Record.pair(f"q{n}", "b"))
        for n in sorted(touched.keys() & rows.keys() - removed)
    }
    wanted = [changed.get(n, row) for n, row in rows.items() if n not in removed]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        pq.write_table(rowfile.table(list(rows.values())), path, row_group_size=group)
        parts = rowpages.rewritten(path, removed, rowfile.table(list(changed.values())))
        data, told = rowpages.packed(parts)
        assert list(rowfile.rows_of(rowpages.of_ids(path, touched))) == [
            row for n, row in rows.items() if n in touched
        ]
    found = rowfile.opened(io.BytesIO(data))
    assert list(rowfile.rows_of(found)) == wanted
    assert rowfile.table_hash(told) == rowfile.table_hash(rowfile.table(wanted))
    assert len(told) == len(wanted)
    groups = pq.ParquetFile(io.BytesIO(data)).metadata
    sizes = [groups.row_group(n).num_rows for n in range(groups.num_row_groups)]
    assert all(size == 4 for size in sizes[:-1]) and sum(sizes) == len(wanted)
