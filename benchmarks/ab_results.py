"""The results page of an A/B test at 1,000,000 and 10,000,000 interactions, assignment and logging over HTTP.

    python -m benchmarks.ab_results [--interactions 10000000]

The same figures by loading the rows into pandas and scipy stand beside it. Prints a table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmarks.app_process import App, PeakMemory, running_app
from core import auth, themes
from core.ab import rollups, trials
from core.db.tables import finetuning_jobs, model_registry, models
from core.workbench import Workbench

SIZES = (1_000_000, 10_000_000)
EACH = 20
"""Interactions of a user."""
LIMITS = {1_000_000: 0.2, 10_000_000: 1.5}
ASSIGNED = 2_000
BATCHES, ROWS = 20, 5_000
PLAN = {"minimum": 0.05, "planned_users": 50_000, "days": 30}


@dataclass(frozen=True)
class Prepared:
    test: int
    rebuild_seconds: float
    """Making the users' sums anew from all interactions."""
    pandas_seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="not needed here; interactions are made")
    parser.add_argument("--interactions", type=int, help="only this many")
    chosen = parser.parse_args().interactions
    figures: dict[str, Any] = {"benchmark": "ab_results"}
    print(f"{'what':58} {'measured':>12}  target")
    for size in (chosen,) if chosen else SIZES:
        with running_app(lambda wb, admin, size=size: prepare(wb, admin, size)) as app:  # type: ignore[misc]
            figures |= results(app, size)
            figures |= traffic(app, size)
    print(json.dumps(figures))


def prepare(wb: Workbench, admin: auth.User, size: int) -> Prepared:
    versions, theme = two_versions(wb, admin)
    trial = trials.create(wb, admin, theme, "Bench", PLAN | {"versions": versions})
    trials.start(wb, admin, trial.id)
    users = size // EACH
    bound = {"test": trial.id, "users": users}
    arm = "CAST(hash('arm' || u) % 2 AS INTEGER)"
    wb.db.write(
        lambda c: (
            c.execute(
                sa.text(
                    "INSERT INTO ab_assignments SELECT :test, 1, 'user-' || u,"
                    f" {arm}, false, now() FROM range(:users) AS t(u)"
                ),
                bound,
            )
            and None
        )
    )
    wb.db.write(
        lambda c: (
            c.execute(
                sa.text(
                    "INSERT INTO ab_test_logs SELECT :test, 'k' || i, 1, 'user-' || u, arm, false,"
                    " now() - INTERVAL 1 SECOND * CAST(random() * 2000000 AS INTEGER), now(), CASE WHEN random() < 0.01"
                    " THEN 'error' ELSE 'ok' END, 40 + 60 * random() - 80 * ln(1 - random()), 0.001,"
                    " CAST(least(5, greatest(1, round(3.4 + 0.04 * arm + 1.1 * (random() + random() + random() - 1.5)"
                    " + 1.5 * (CAST(hash('taste' || u) % 1000 AS DOUBLE) / 1000 - 0.5)))) AS SMALLINT),"
                    " NULL, NULL, NULL, NULL FROM"
                    " (SELECT i, i % :users AS u, CAST(hash('arm' || (i % :users)) % 2 AS INTEGER) AS arm"
                    "  FROM range(:size) AS t(i)) AS made"
                ),
                bound | {"size": size},
            )
            and None
        )
    )
    began = time.perf_counter()
    rollups.rebuild(wb, trial.id)
    rebuilt = time.perf_counter() - began
    return Prepared(trial.id, rebuilt, by_pandas(wb, trial.id))


def two_versions(wb: Workbench, admin: auth.User) -> tuple[list[int], int]:
    """Two rows of the registry, without trainings: only their names are shown."""
    theme = themes.create(wb, admin, name="Bench", labels=["cat", "dog"]).id
    now = datetime.now(UTC)

    def work(connection: sa.Connection) -> None:
        connection.execute(models.insert().values(id=1, theme_id=theme, name="bench", created_at=now))
        for number in (1, 2):
            connection.execute(
                finetuning_jobs.insert().values(
                    id=number,
                    kind="vision",
                    theme_id=theme,
                    status="succeeded",
                    spec={"labels": ["cat", "dog"]},
                    attempt=1,
                    created_by=admin.id,
                    created_at=now,
                    last_event=0,
                )
            )
            connection.execute(
                model_registry.insert().values(
                    id=number,
                    model_id=1,
                    run_id=number,
                    version=number,
                    stage="staging",
                    uri=f"models:/bench/{number}",
                    snapshot_hash="0",
                    code={},
                    metrics={},
                    created_at=now,
                    major=1,
                    minor=number,
                    patch=0,
                    kind="vision",
                    architecture="resnet18",
                    weights="none",
                    labels=["cat", "dog"],
                    description="",
                )
            )

    wb.db.write(work)
    return [1, 2], theme


def by_pandas(wb: Workbench, test_id: int) -> float:
    """Seconds of the usual way: all rows into a frame, a mean a user, tests by scipy."""
    from scipy import stats

    began = time.perf_counter()
    with wb.db.read() as connection:
        raw: Any = connection.connection.driver_connection
        rows = raw.execute(
            'SELECT unit, arm, status, rating, response_time_ms, cost, "at" FROM ab_test_logs'
            f" WHERE test_id = {test_id:d}"
        ).df()
    users = rows.groupby(["unit", "arm"]).agg(
        rating=("rating", "mean"), n=("status", "size"), cost=("cost", "sum"), first=("at", "min")
    )
    users["bad"] = (rows["status"] != "ok").groupby([rows["unit"], rows["arm"]]).sum()
    a, b = (users.xs(arm, level="arm")["rating"] for arm in (0, 1))
    stats.ttest_ind(b, a, equal_var=False)
    stats.brunnermunzel(a.round(), b.round())
    for arm in (0, 1):
        np.quantile(rows.loc[rows["arm"] == arm, "response_time_ms"], 0.95)
    stats.chisquare(users.groupby(level="arm").size())
    return time.perf_counter() - began


def results(app: App[Prepared], size: int) -> dict[str, Any]:
    path = f"/v1/admin/ab-tests/{app.prepared.test}/results"
    times = []
    with PeakMemory(app.process) as memory:
        for _ in range(5):
            began = time.perf_counter()
            app.client.get(path).raise_for_status()
            times.append(time.perf_counter() - began)
    cold, warm = times[0], float(np.median(times[1:]))
    growth, pandas = memory.peak - memory.before, app.prepared.pandas_seconds
    name = f"{size:,} interactions"
    limit = LIMITS.get(size)
    print(
        f"{f'results page, {name}: first, then':58} {cold:5.2f}, {warm:4.2f} s  {f'≤ {limit} s' if limit else ''}"
    )
    rebuilt = app.prepared.rebuild_seconds
    print(f"{f'cold rebuild of the sums, {name}':58} {rebuilt:10.2f} s")
    print(f"{f'memory growth, {name}':58} {growth:8.0f} MiB  ≤ 500")
    print(f"{f'pandas and scipy, {name}':58} {pandas:5.2f} s, {pandas / warm:4.1f} ×  ≥ 4 ×")
    return {
        f"results_{size}_first_s": round(cold, 3),
        f"results_{size}_s": round(warm, 3),
        f"results_{size}_rebuild_s": round(rebuilt, 2),
        f"results_{size}_growth_mib": round(growth),
        f"results_{size}_pandas_s": round(pandas, 2),
    }


def traffic(app: App[Prepared], size: int) -> dict[str, Any]:
    """Requests to the test that has all these interactions already."""
    base = f"/v1/admin/ab-tests/{app.prepared.test}"
    figures = {}
    for what in ("new", "known"):
        took = []
        for number in range(ASSIGNED):
            began = time.perf_counter()
            app.client.post(f"{base}/assign-variant", json={"unit": f"visitor-{number}"}).raise_for_status()
            took.append((time.perf_counter() - began) * 1000)
        p50, p99 = np.quantile(took, [0.5, 0.99])
        print(f"{f'assignment over HTTP, {what} user, p50 and p99':58} {p50:5.1f}, {p99:4.1f} ms  ≤ 10")
        figures |= {
            f"assign_{size}_{what}_p50_ms": round(p50, 1),
            f"assign_{size}_{what}_p99_ms": round(p99, 1),
        }
    batches = [
        [
            {
                "unit": f"visitor-{(batch * ROWS + n) % 30_000}", "key": f"b{batch}-{n}", "rating": n % 5 + 1,
                "response_time_ms": 80.5, "query": "photo.jpg", "response": "cat",
            }
            for n in range(ROWS)
        ]
        for batch in range(BATCHES)
    ]  # fmt: skip
    began = time.perf_counter()
    for rows in batches:
        answer = app.client.post(f"{base}/logs/batch", json=rows).json()
        assert answer["added"] == ROWS, answer
    rate = BATCHES * ROWS / (time.perf_counter() - began)
    print(f"{f'log ingest, batches of {ROWS:,}, durable':58} {rate:8,.0f} /s  ≥ 10,000")
    return figures | {f"ingest_{size}_per_s": round(rate)}


if __name__ == "__main__":
    main()
