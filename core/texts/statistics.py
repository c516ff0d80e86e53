"""Pure. How long the texts of a dataset are, how they are divided, and which rows show it best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.texts.records import ASSISTANT, SYSTEM, USER
from core.texts.rowfile import SPLITS
from core.texts.tokens import Counter

EDGES = (0, *(factor * 10**power for power in range(7) for factor in (1, 2, 5)))
"""Of the histograms, upper edges not included: the same for all datasets, so that two can be compared."""
OTHERS = 3
"""Examples beside the shortest and the longest."""
SEED = 42

_BATCH = 50_000
_ROLES = (USER, ASSISTANT, SYSTEM, "tool", "other")
_INPUT = "input"

Lengths = NDArray[np.int64]


def splits(rows: pa.Table) -> dict[str, int]:
    """Rows of each split; "" are those that have none yet."""
    counts = {name: 0 for name in (*SPLITS, "")}
    found: Any = rows["split"].value_counts()
    for each in found.to_pylist():
        counts[each["values"] or ""] = each["counts"]
    return counts


def of(parts: Iterable[pa.Table], counter: Counter) -> dict[str, Any]:
    """What JSON keeps of rows (core.texts.rowfile.SCHEMA) that come part by part.

    `fields` has an entry for instruction, input, output and system, or, where not every row is one
    question with one answer, for each role; `whole` is all of a row. Each entry says how many texts there
    are and, in `characters` and `tokens`, min, median, p95, max, total and a histogram over `edges`.
    `turns` does so for the turns of a row. `examples` are row ids: shortest, longest and OTHERS more.
    Raises Unavailable (see Counter).
    """
    found: dict[str, list[tuple[Lengths, Lengths]]] = {}
    wholes: list[tuple[Lengths, Lengths]] = []
    turns: list[Lengths] = []
    ids: list[Lengths] = []
    pairs = True
    for batch in chain.from_iterable(part.to_batches(max_chunksize=_BATCH) for part in parts):
        size = len(batch)
        ids.append(_numbers(batch.column("row_id")))
        per_row = _numbers(pc.list_value_length(batch.column("turns")))
        role, content = pc.list_flatten(batch.column("turns")).flatten()
        owner = np.repeat(np.arange(size), per_row)
        known: Any = pc.index_in(role, pa.array(_ROLES[:-1]))
        roles = _numbers(known.fill_null(len(_ROLES) - 1))
        pairs = pairs and bool((per_row == 2).all() and (roles[::2] == 0).all() and (roles[1::2] == 1).all())
        whole = np.zeros((2, size), np.int64)
        texts = {
            "": (content, owner),
            _INPUT: (batch.column("context"), np.arange(size)),
            SYSTEM: (batch.column("system"), np.arange(size)),
        }
        for name, (values, of_row) in texts.items():
            lengths = np.stack([_numbers(pc.utf8_length(values)), counter.count(values)])
            for kind in (0, 1):
                whole[kind] += np.bincount(of_row, lengths[kind], size).astype(np.int64)
            if name:
                _add(found, name, lengths)
                continue
            for number, role_name in enumerate(_ROLES):
                _add(found, role_name, lengths[:, roles == number])
        wholes.append((whole[0], whole[1]))
        turns.append(per_row)
    names = {USER: "instruction", ASSISTANT: "output"} if pairs and ids else {}
    characters = _joined([each[0] for each in wholes])
    return {
        "rows": len(characters),
        "tokenizer": None if counter.tokenizer is None else counter.tokenizer.name,
        "edges": list(EDGES),
        "fields": {names.get(name, name): _entry(parts) for name, parts in found.items()},
        "whole": _entry(wholes),
        "turns": _figures(_joined(turns)),
        "examples": _examples(_joined(ids), characters),
    }


def _add(found: dict[str, list[tuple[Lengths, Lengths]]], name: str, lengths: Lengths) -> None:
    """Empty texts are no texts."""
    filled = lengths[:, lengths[0] > 0]
    if filled.shape[1]:
        found.setdefault(name, []).append((filled[0], filled[1]))


def _entry(parts: list[tuple[Lengths, Lengths]]) -> dict[str, Any]:
    characters, tokens = (_joined([part[kind] for part in parts]) for kind in (0, 1))
    return {"texts": len(characters), "characters": _figures(characters), "tokens": _figures(tokens)}


def _figures(lengths: Lengths) -> dict[str, Any]:
    if not len(lengths):
        return {"min": 0, "median": 0, "p95": 0, "max": 0, "total": 0, "histogram": [0] * len(EDGES)}
    median, p95 = np.percentile(lengths, (50, 95), method="inverted_cdf")
    places = np.searchsorted(EDGES, lengths, side="right") - 1
    return {
        "min": int(lengths.min()),
        "median": int(median),
        "p95": int(p95),
        "max": int(lengths.max()),
        "total": int(lengths.sum()),
        "histogram": np.bincount(places, minlength=len(EDGES)).tolist(),
    }


def _examples(ids: Lengths, characters: Lengths) -> Mapping[str, list[int]]:
    if not len(ids):
        return {"shortest": [], "longest": [], "others": []}
    ends = {"shortest": int(characters.argmin()), "longest": int(characters.argmax())}
    rest = np.setdiff1d(np.arange(len(ids)), list(ends.values()))
    some = np.random.default_rng(SEED).permutation(len(rest))[:OTHERS]
    return {name: [int(ids[place])] for name, place in ends.items()} | {
        "others": sorted(ids[rest[some]].tolist())
    }


def _joined(parts: list[Lengths]) -> Lengths:
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _numbers(values: pa.Array) -> Lengths:
    return np.asarray(values.to_numpy(zero_copy_only=False), np.int64)
