"""Milliseconds of the registry's lists at 10,000 versions: a page, filters, tags, who is in production.

    python -m benchmarks.registry [--versions 10000] [--database postgresql+psycopg://…]

Asks the running app over HTTP. Prints a table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmarks.app_process import App, running_app
from core import auth, themes
from core.db.engine import bulk_insert
from core.db.tables import finetuning_jobs, model_benchmarks, model_registry, model_tags, models
from core.ledger import ARCHIVED, PRODUCTION, STAGING
from core.workbench import Workbench

MODELS = 20
TARGET_MS = 100
REPEATS = 40
WARM_UP = 3
TAGS = [f"tag-{n}" for n in range(50)]
LISTS = {
    "newest 50": "",
    "50 from the middle": "before=5000",
    "one model": "model=bench-7",
    "staging, accuracy ≥ 0.9": "stage=staging&metric=test.accuracy&minimum=0.9",
    "text in name, number or description": "text=1.77.",
    "any of three tags": "tags=tag-1,tag-2,tag-3",
    "all of two tags": "tags=tag-1,tag-2&match=all",
    "alias: what is in production of a model": "model=bench-7&stage=production",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="not needed here; the rows are made")
    parser.add_argument("--versions", type=int, default=10_000)
    parser.add_argument("--database", help="an empty Postgres database instead of DuckDB")
    given = parser.parse_args()
    figures: dict[str, Any] = {
        "benchmark": "registry",
        "versions": given.versions,
        "database": "postgres" if given.database else "duckdb",
    }
    with running_app(lambda wb, admin: fill(wb, admin, given.versions), given.database) as app:
        print(f"{'what':44} {'p50 ms':>7} {'p95 ms':>7} {'target':>7}")
        figures["p95_ms"] = {name: report(app, name, query) for name, query in LISTS.items()}
    print(json.dumps(figures, ensure_ascii=False))


def fill(wb: Workbench, admin: auth.User, count: int) -> None:
    """Versions of MODELS models, each with a run, three tags and a benchmark; the newest of each in production."""
    rng = np.random.default_rng(7)
    now = datetime.now(UTC)
    theme_ids = [themes.create(wb, admin, name=f"Theme {n}", labels=["a", "b"]).id for n in range(MODELS)]
    labels = [f"label {n}" for n in range(20)]
    spec = {"labels": labels, "params": {"model": {"architecture": "resnet18", "weights": "none"}}}
    files = {f"artifacts/file-{n}": f"{n:064x}" for n in range(15)}
    runs, rows, tags, scores = [], [], [], []
    for n in range(1, count + 1):
        model, minor = (n - 1) % MODELS, (n - 1) // MODELS
        at = now - timedelta(minutes=count - n)
        marks = {"accuracy": float(rng.random()), "macro_f1": float(rng.random()), "loss": 0.1, "n": 1_000}
        newest = n > count - MODELS
        runs.append(
            {
                "id": n, "kind": "vision", "theme_id": theme_ids[model], "status": "succeeded", "spec": spec,
                "attempt": 1, "created_by": admin.id, "created_at": at, "last_event": 0,
            }
        )  # fmt: skip
        rows.append(
            {
                "id": n, "model_id": model + 1, "run_id": n, "version": minor + 1,
                "stage": PRODUCTION if newest else (STAGING, ARCHIVED)[n % 2], "uri": f"models:/bench-{model}/{n}",
                "snapshot_hash": f"{n:064x}", "code": {"commit": "0" * 40, "dirty": False},
                "metrics": {"test": marks, "valid": marks}, "created_at": at, "files": files, "size": 45_000_000,
                "major": 1, "minor": minor, "patch": 0, "kind": "vision", "architecture": "resnet18",
                "weights": "none", "labels": labels, "description": "for the second line " * 10,
            }
        )  # fmt: skip
        own = rng.choice(len(TAGS), 3, replace=False)
        tags += [{"version_id": n, "tag": TAGS[each]} for each in own]
        scores.append(
            {
                "id": n, "version_id": n, "name": "noise", "score": 0.5, "detail": {}, "created_by": admin.id,
                "created_at": at,
            }
        )  # fmt: skip

    def work(connection: sa.Connection) -> None:
        named = [
            {"id": n + 1, "theme_id": theme_ids[n], "name": f"bench-{n}", "created_at": now}
            for n in range(MODELS)
        ]
        for table, made in (
            (models, named),
            (finetuning_jobs, runs),
            (model_registry, rows),
            (model_tags, tags),
            (model_benchmarks, scores),
        ):
            bulk_insert(connection, table, made)

    wb.db.write(work)


def report(app: App[None], name: str, query: str) -> float:
    """Ask REPEATS times and print; returns the 95th percentile in ms."""
    times = []
    for number in range(WARM_UP + REPEATS):
        began = time.perf_counter()
        answer = app.client.get(f"/v1/admin/models?limit=50&{query}").raise_for_status()
        if number >= WARM_UP:
            times.append((time.perf_counter() - began) * 1000)
    assert answer.json()["items"], name
    p50, p95 = np.percentile(times, [50, 95])
    print(f"{name:44} {p50:7.1f} {p95:7.1f} {f'≤ {TARGET_MS}':>7}")
    return round(float(p95), 1)


if __name__ == "__main__":
    main()
