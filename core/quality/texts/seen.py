"""Pure. What is kept of each content between two checks, so that only new ones are read: see foundfile.SEEN.

Everything kept is a function of the content alone (and of CHECKS, and of the rule that it names), so that a
check with it finds what one without it does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.quality.texts import answers, copies, form, language, leakage, pii
from core.quality.texts.copies import Sketches
from core.quality.texts.findings import Finding, Result
from core.quality.texts.foundfile import SEEN
from core.quality.texts.kinds import KINDS
from core.quality.texts.language import Told
from core.quality.texts.rules import Rules
from core.texts.records import ASSISTANT, USER, Record
from core.texts.rowfile import rows_of

_BY_ROW = [kind.name for kind in KINDS.values() if kind.by_row]
LIKENESS = b"likeness"
"""Key of the file's metadata: the threshold that `keys` were made for."""
_FIELDS: list[pa.Field[Any]] = [
    pa.field("content", pa.int64()),
    *(pa.field(name, pa.string()) for name in ("where", "kind", "severity", "message", "fields")),
]
ALONE = pa.schema(_FIELDS)
"""Findings in one content alone; `content` is its place in `Rows.contents`."""


@dataclass(frozen=True)
class Before:
    """Files of an earlier check with the same CHECKS and rules of rows, see core.quality.texts.foundfile."""

    findings: pa.Table
    seen: pa.Table
    learnt: bytes | None = None
    """What it learnt of pairs, see core.quality.texts.paired."""


class Rows:
    """The rows of a version (core.texts.rowfile.SCHEMA), and each content once; rows are read when asked for."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        encoded: Any = table["hash"].combine_chunks().dictionary_encode()
        self.contents: pa.Array[Any] = encoded.dictionary
        """Hashes, each once, by their first row."""
        self.content: NDArray[np.int64] = encoded.indices.to_numpy().astype(np.int64)
        """By row, the place of its content."""
        self.first = np.empty(len(self.contents), np.int64)
        """By content, its first row."""
        self.first[self.content[::-1]] = np.arange(len(table))[::-1]
        self.ids: NDArray[np.int64] = table["row_id"].to_numpy()
        self.splits: NDArray[np.object_] = np.array(table["split"].to_pylist(), object)
        """None where a row is not dealt."""

    def __len__(self) -> int:
        return len(self.ids)

    def records(self, places: Sequence[int] | NDArray[np.int64]) -> list[Record]:
        """Of these places, which ascend."""
        some = pa.Table.from_batches(list(self._batches(places)), self._table.schema)
        return [row.record for row in rows_of(some)]

    def asked(self, places: Sequence[int] | NDArray[np.int64]) -> list[str]:
        """What the records of these places, which ascend, ask (`leakage.asked`), without making the records."""
        found: list[str] = []
        for batch in self._batches(places):
            turns: Any = batch.column("turns")
            role, content = turns.flatten().flatten()
            by_user = np.flatnonzero(_is(role, USER))
            owner, first = np.unique(pc.list_parent_indices(turns).to_numpy()[by_user], return_index=True)
            prompt = np.full(len(batch), "", object)
            prompt[owner] = content.take(pa.array(by_user[first])).to_pylist()
            context: list[Any] = batch.column("context").to_pylist()
            found += map(leakage.asked, prompt, context)
        return found

    def _batches(self, places: Sequence[int] | NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
        """The rows of these places, which ascend. pa.Table.take would put all texts together first."""
        wanted = np.asarray(places, np.int64)
        start = 0
        for batch in self._table.to_batches():
            low, high = np.searchsorted(wanted, (start, start + len(batch)))
            if high > low:
                yield batch.take(pa.array(wanted[low:high] - start, pa.int64()))
            start += len(batch)

    def pairs(self) -> int:
        """Rows with a source and a target, see Record.is_pair."""
        turns: Any = self._table["turns"].combine_chunks()
        starts = turns.offsets.to_numpy()[:-1][pc.list_value_length(turns).to_numpy() == 2]
        role, content = (turns.values.field(name) for name in ("role", "content"))
        blank = _is(pc.utf8_trim_whitespace(content), "")
        pair = _is(role, USER)[starts] & _is(role, ASSISTANT)[starts + 1]
        return int(np.count_nonzero(pair & ~blank[starts] & ~blank[starts + 1]))

    def fingerprint(self) -> str:
        """SHA-256 of what all rows say, by row id, whatever their split."""
        whole = hashlib.sha256(self.ids.tobytes())
        whole.update("".join(map(str, self._table["hash"].to_pylist())).encode())
        return whole.hexdigest()


def _is(texts: Any, text: str) -> NDArray[np.bool_]:
    same: Any = pc.equal(texts, pa.scalar(text))
    return np.asarray(same.to_numpy(zero_copy_only=False))


@dataclass(frozen=True)
class Seen:
    """Columns of foundfile.SEEN by content of some Rows."""

    languages: pa.Array[Any]
    whole: NDArray[np.uint64]
    keys: pa.Array[Any]
    runs: Any
    """A pa.ListArray."""

    def table(self, contents: pa.Array[Any], likeness: float) -> pa.Table:
        columns = [contents, self.languages, pa.array(self.whole), self.keys, self.runs]
        return pa.table(columns, schema=SEEN.with_metadata({LIKENESS: str(likeness).encode()}))

    def told(self) -> tuple[list[list[Told]], NDArray[np.int64]]:
        """(what is told of contents, each different answer once; by content, which of them)."""
        encoded: Any = self.languages.dictionary_encode()
        answers = [[tuple(of) for of in json.loads(each)] for each in encoded.dictionary.to_pylist()]
        return answers, encoded.indices.to_numpy().astype(np.int64)

    def sketches(self, content: NDArray[np.int64], likeness: float) -> Sketches:
        """By row."""
        bands, filled = copies.bands(likeness)[0], self.keys.is_valid().to_numpy(zero_copy_only=False)
        keys = np.zeros((len(filled), bands), np.uint64)
        packed = b"".join(each for each in self.keys.to_pylist() if each is not None)
        keys[filled] = np.frombuffer(packed, "<u8").reshape(-1, bands)
        return Sketches(self.whole[content], filled[content], keys[content])

    def suspects(self, tested: leakage.Prompts) -> NDArray[np.bool_]:
        """Contents that may share words with what is tested; those without an outline are none."""
        out = np.zeros(len(self.whole), bool)
        hits = np.flatnonzero(leakage.suspects(self.runs.values.to_numpy(), tested))
        places = np.searchsorted(self.runs.offsets.to_numpy(), hits, side="right") - 1
        out[places] = True
        return out


def looked(records: Sequence[Record], likeness: float) -> pa.Table:
    """Columns of SEEN, without the hash and with no runs yet, of contents that nobody has looked at."""
    sketches = copies.sketched([record.whole() for record in records], likeness)
    told = [json.dumps(language.told(record)) for record in records]
    runs = pa.nulls(len(records), SEEN.field("runs").type)
    columns = [pa.array(told, pa.string()), pa.array(sketches.whole), _keys(sketches), runs]
    return pa.table(columns, schema=pa.schema(list(SEEN)[1:]))


def _keys(of: Sketches) -> pa.Array[Any]:
    packed = [
        row.astype("<u8").tobytes() if filled else None
        for row, filled in zip(of.keys, of.filled, strict=True)
    ]
    return pa.array(packed, pa.binary())


def kept(before: pa.Table | None, contents: pa.Array[Any]) -> tuple[pa.Table, NDArray[np.bool_]]:
    """(what is kept of those contents that were seen, in order; which contents they are)."""
    if before is None:
        return SEEN.empty_table(), np.zeros(len(contents), bool)
    place: Any = pc.index_in(contents, value_set=before["hash"].combine_chunks())
    return _taken(before, place.drop_null().to_numpy()), place.is_valid().to_numpy(zero_copy_only=False)


def _taken(table: pa.Table, places: NDArray[np.integer[Any]]) -> pa.Table:
    """Its rows at these places; the table itself where these are all in order, as after rows were only added."""
    if len(places) == len(table) and np.array_equal(places, np.arange(len(table))):
        return table
    return table.take(pa.array(places))


def together(rows: Rows, old: pa.Table, known: NDArray[np.bool_], new: pa.Table, likeness: float) -> Seen:
    """`old` (see `kept`) and `new` (of the other contents, in order) by content; what `old` lacks is made."""
    order = np.empty(len(known), np.int64)
    order[known], order[~known] = np.arange(len(old)), len(old) + np.arange(len(new))
    both = pa.concat_tables([old.select(new.schema.names).replace_schema_metadata(None), new])
    both = _taken(both, order).combine_chunks()
    languages, whole, keys, runs = (both[name].combine_chunks() for name in both.column_names)
    if len(old) and (old.schema.metadata or {}).get(LIKENESS) != str(likeness).encode():
        keys = _keys(copies.sketched([record.whole() for record in rows.records(rows.first)], likeness))
    lacking = np.zeros(len(known), bool)
    lacking[rows.content[rows.splits == "train"]] = True
    lacking &= runs.is_null().to_numpy(zero_copy_only=False)
    if lacking.any():
        made = leakage.outlined(rows.records(rows.first[lacking]))
        place = np.arange(len(known))
        place[lacking] = len(known) + np.arange(len(made))
        runs = pa.concat_arrays([runs, made]).take(place)
    return Seen(languages, whole.to_numpy(), keys, runs)


def alone(places: NDArray[np.int64], records: Sequence[Record], rules: Rules) -> pa.Table:
    """ALONE of contents at these places that nobody has looked at."""
    results: tuple[Result, ...] = (
        form.check(records, rules.longest),
        pii.check(records),
        answers.check(records),
        language.check_characters(records),
    )
    return told_of(places, [each for result in results for each in result.findings])


def told_of(places: NDArray[np.int64], findings: Sequence[Finding]) -> pa.Table:
    """ALONE of findings; `places`: of the content, by the findings' record."""
    found = [
        (int(places[each.record]), each.where, each.kind, each.severity, each.message, said(each.fields))
        for each in findings
    ]
    columns = list(zip(*found, strict=True)) or [()] * len(ALONE)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, ALONE, strict=True)], schema=ALONE)


def said(fields: Mapping[str, Any]) -> str:
    """As the files have them."""
    return json.dumps(dict(fields), ensure_ascii=False)


def alone_before(
    findings: pa.Table, contents: pa.Array[Any], kinds: Sequence[str] = tuple(_BY_ROW)
) -> pa.Table:
    """ALONE of the contents that an earlier check looked at, from the first row of each."""
    some = findings.filter(pc.is_in(findings["kind"], pa.array(kinds)))
    place: Any = pc.index_in(some["hash"].combine_chunks(), value_set=contents)
    known = place.is_valid()
    some, place = some.filter(known), place.drop_null().to_numpy().astype(np.int64)
    ids = some["row_id"].to_numpy()
    least = np.full(len(contents), np.iinfo(np.int64).max)
    np.minimum.at(least, place, ids)
    one = pa.array(ids == least[place])
    columns = [pa.array(place), *(some[name] for name in ALONE.names[1:])]
    return pa.table(columns, schema=ALONE).filter(one)
