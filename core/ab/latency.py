"""Stored. The p95 of response times, exact, by looking closely only where it can lie.

Sorting ten million response times takes hundreds of MiB. A count by magnitude says in which
narrow band a rank lies, and only that band is put in order. All of it must run within
`core.ab.sums.gathered`, whose `ab_answers` has the interactions that count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from core.ab import quantiles, ratios
from core.ab.moments import Pairs
from core.ab.quantiles import Quantile

QUANTILE = 0.95
SHOWN = (0.5, 0.9, 0.95, 0.99)
"""The quantiles that the report lists."""
_WHERE = "FROM ab_answers WHERE response_time_ms IS NOT NULL"
_BAND = "CAST(floor(ln(1 + response_time_ms) * 32) AS INTEGER)"
"""About 3 % wide; from 0 ms to a day there are some 580."""


@dataclass(frozen=True)
class _Band:
    number: int
    before: int
    """How many response times of the arm are shorter than all of this band."""
    n: int
    least: float
    most: float


Bands = Mapping[int, list[_Band]]
"""Of each arm, in order."""


def times(connection: sa.Connection, bands: Bands) -> dict[int, tuple[float, ...]]:
    """By arm: the response times that 50, 90, 95 and 99 of 100 answers stay below, ms."""
    found = _values(connection, bands, [(arm, q) for arm in bands for q in SHOWN])
    return {arm: tuple(found[arm, q] for q in SHOWN) for arm in bands}


def p95(connection: sa.Connection, given: Bands | None = None) -> dict[int, Quantile]:
    """Each arm's p95 of response times, with its interval widened for users who come several times.

    The outer-CDF method (core.ab.quantiles.clustered_error).
    """
    of = bands(connection) if given is None else given
    values = _values(connection, of, [(arm, QUANTILE) for arm in of])
    if not values:
        return {}
    edges: dict[int, tuple[float, float]] = {}
    for arm, pairs in _below(connection, {arm: value for (arm, _), value in values.items()}).items():
        if pairs.x.n > 1:
            reach = quantiles.normal_reach() * math.sqrt(ratios.ratio(pairs)[1])
            edges[arm] = (max(0.0, QUANTILE - reach), min(1.0, QUANTILE + reach))
    ends = _values(connection, of, [(arm, edge) for arm, pair in edges.items() for edge in pair])
    return {
        arm: Quantile(values[arm, QUANTILE], ends[arm, low], ends[arm, high])
        for arm, (low, high) in edges.items()
    }


def bands(connection: sa.Connection) -> Bands:
    """How many response times lie in each band, in one pass: what the quantiles start from."""
    query = (
        f"SELECT arm, {_BAND} AS band, count(*), min(response_time_ms), max(response_time_ms)"
        f" {_WHERE} GROUP BY 1, 2 ORDER BY 1, 2"
    )
    found: dict[int, list[_Band]] = {}
    for arm, number, n, least, most in connection.execute(sa.text(query)):
        bands = found.setdefault(int(arm), [])
        shorter = bands[-1].before + bands[-1].n if bands else 0
        bands.append(_Band(int(number), shorter, int(n), float(least), float(most)))
    return found


def _values(
    connection: sa.Connection, bands: Bands, wanted: Iterable[tuple[int, float]]
) -> dict[tuple[int, float], float]:
    """The quantiles (arm, q), between two response times in proportion, as percentile_cont has them."""
    at = {(arm, q): q * (bands[arm][-1].before + bands[arm][-1].n - 1) for arm, q in wanted}
    ranks = {(arm, rank) for (arm, _), h in at.items() for rank in (math.floor(h), math.ceil(h))}
    by_rank = _by_rank(connection, bands, ranks)
    found = {}
    for (arm, q), h in at.items():
        low, high = by_rank[arm, math.floor(h)], by_rank[arm, math.ceil(h)]
        found[arm, q] = low + (high - low) * (h - math.floor(h))
    return found


def _by_rank(
    connection: sa.Connection, bands: Bands, ranks: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], float]:
    """The response times that stand at (arm, rank), counted from 0."""
    found = {}
    open_: dict[tuple[int, int], _Band] = {}
    for arm, rank in ranks:
        band = next(band for band in reversed(bands[arm]) if band.before <= rank)
        if band.least == band.most:
            found[arm, rank] = band.least
        else:
            open_[arm, rank] = band
    for together in _ranges(open_):
        found |= _ordered(connection, together)
    return found


Places = Mapping[tuple[int, int], _Band]
"""Of (arm, rank) the band that holds it."""


def _ranges(places: Places) -> list[Places]:
    """The bands that overlap with each other, whatever their arm: between them nothing need be looked at."""
    parts: list[dict[tuple[int, int], _Band]] = []
    end = -math.inf
    for place, band in sorted(places.items(), key=lambda each: each[1].least):
        if band.least > end:
            parts.append({})
        parts[-1][place] = band
        end = max(end, band.most)
    return list(parts)


def _ordered(connection: sa.Connection, places: Places) -> dict[tuple[int, int], float]:
    """The response times at these places, whose bands are put in order."""
    # One range for all arms: a plain comparison, which passes over the rest quickest.
    least = min(band.least for band in places.values())
    most = max(band.most for band in places.values())
    columns = ", ".join(
        f"min(t) FILTER (WHERE arm = {arm} AND band = {band.number} AND upto > {rank - band.before})"
        for (arm, rank), band in places.items()
    )
    query = (
        f"WITH each AS (SELECT arm, {_BAND} AS band, response_time_ms AS t, count(*) AS n"
        f" {_WHERE} AND response_time_ms BETWEEN {least!r} AND {most!r} GROUP BY 1, 2, 3),"
        " run AS (SELECT arm, band, t, sum(n) OVER (PARTITION BY arm, band ORDER BY t) AS upto FROM each)"
        f" SELECT {columns} FROM run"
    )
    row = connection.execute(sa.text(query)).one()
    return {place: float(value) for place, value in zip(places, row, strict=True)}


def _below(connection: sa.Connection, values: Mapping[int, float]) -> dict[int, Pairs]:
    """By arm, over its users: how many response times they have (x), and how many up to the arm's value (y).

    Most are up to it, so the few above it are counted and taken off.
    """
    limit = " ".join(f"WHEN {arm} THEN {value!r}" for arm, value in values.items())
    query = (
        f"WITH above AS (SELECT unit, arm, count(*) AS n {_WHERE}"
        f" AND response_time_ms > {min(values.values())!r}"  # a plain comparison first, as above
        f" AND response_time_ms > CASE arm {limit} END GROUP BY unit, arm),"
        " each AS (SELECT u.arm AS arm, CAST(u.time_n AS DOUBLE PRECISION) AS x,"
        " CAST(u.time_n - coalesce(above.n, 0) AS DOUBLE PRECISION) AS y FROM ab_users u LEFT JOIN above"
        " ON above.unit = u.unit AND above.arm = u.arm WHERE u.arm = u.last_arm AND u.time_n > 0)"
        " SELECT arm, count(*), sum(x), sum(y), sum(x * x), sum(y * y), sum(x * y) FROM each GROUP BY arm"
    )
    return {
        int(arm): Pairs.of_sums(int(n), *(float(part) for part in parts))
        for arm, n, *parts in connection.execute(sa.text(query))
    }
