"""Stored. The gate's lines about benchmarks, and about what a version costs: time and space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import sqlalchemy as sa

from core.addresses import Address
from core.db.tables import model_benchmarks
from core.gate.lines import BENCHMARK, ELSEWHERE, GREEN, LATENCY, RED, SIZE, Line
from core.registry import Version
from core.runs import Run
from core.settings import MIB


def benchmarks(connection: sa.Connection, version: Version, floors: Mapping[str, float]) -> Iterator[Line]:
    """A line for each floor (0–1), by name; of several scores in one benchmark the newest counts."""
    table = model_benchmarks.c
    query = sa.select(table.name, table.score).where(table.version_id == version.id).order_by(table.id)
    scores = {name: float(score) for name, score in connection.execute(query)} if floors else {}
    address = _passport(version)  # which shows all its scores
    for name, floor in sorted(floors.items()):
        fields = {"name": name, "floor": floor}
        score = scores.get(name)
        if score is None:
            yield Line(BENCHMARK, RED, fields, "no score", address)
        else:
            state = GREEN if score >= floor else RED
            yield Line(BENCHMARK, state, fields | {"score": score}, address=address)


def latency(version: Version, run: Run | None, limit: float) -> Line:
    """Whether one image takes at most `limit` milliseconds, as its run measured it."""
    address = made(version)
    if run is None:
        return Line(LATENCY, RED, {"limit": limit}, ELSEWHERE, address)
    ms = (run.result or {}).get("latency_ms")
    if ms is None:
        return Line(LATENCY, RED, {"limit": limit}, "not timed", address)
    return Line(LATENCY, GREEN if ms <= limit else RED, {"limit": limit, "ms": ms}, address=address)


def size(version: Version, limit: float) -> Line:
    """Whether its files have at most `limit` MB (of 1,048,576 bytes, as everywhere in the product)."""
    address = made(version)
    if version.size is None:
        return Line(SIZE, RED, {"limit": limit}, "not weighed", address)
    fields = {"limit": limit, "mb": version.size / MIB, "bytes": version.size}
    return Line(SIZE, GREEN if fields["mb"] <= limit else RED, fields, address=address)


def made(version: Version) -> Address:
    """Where it is shown what a version was measured by: its run, or for want of one its passport."""
    return _passport(version) if version.run_id is None else Address("run", {"run": version.run_id})


def _passport(version: Version) -> Address:
    return Address("passport", {"version": version.id})
