"""Stored. What Prometheus is told: counters of this process, and the state of queue, workers, runs and deployments.

Names follow Prometheus: base units, `_total` for counters. What comes from the database or the broker is the same in
every app process, so take the maximum over them; the counters are each process's own, so add them up.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Iterator
from typing import Any

import redis
import sqlalchemy as sa
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from core import events, queue
from core.alerts import alerts
from core.db.engine import DATABASE_AWAY
from core.db.tables import deployments, finetuning_jobs
from core.db.watching_tables import notices
from core.errors import Unavailable
from core.events import ENDED, Status
from core.gateway.observed import Observed
from core.serving import UP
from core.workbench import Workbench

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
NOBODY = "none"
"""Stands for a model that was asked for and is not there: names that people make up must not become series."""
DEPLOYMENT_STATES = ("starting", "up", "restarting", "failed")
NOTICE_STATES = ("waiting", "failed")
RUN_STATES = tuple(status.value for status in Status if status not in ENDED)

disable_created_metrics()  # a second series for each counter, of which nobody here makes use
registry = CollectorRegistry()
ProcessCollector(registry=registry)
PlatformCollector(registry=registry)

http_requests = Counter(
    "veritrain_http_requests_total",
    "Requests that the app answered, by route template.",
    ["method", "route", "status"],
    registry=registry,
)
http_seconds = Histogram(
    "veritrain_http_request_duration_seconds",
    "Time until the app's answer was sent.",
    ["method", "route"],
    buckets=SECONDS,
    registry=registry,
)
gateway_requests = Counter(
    "veritrain_gateway_requests_total",
    "Requests for predictions; 5xx are errors.",
    ["model", "deployment", "status"],
    registry=registry,
)
gateway_seconds = Histogram(
    "veritrain_gateway_request_duration_seconds",
    "Time until predictions were ready.",
    ["model", "deployment"],
    buckets=SECONDS,
    registry=registry,
)
gateway_images = Counter(
    "veritrain_gateway_images_total",
    "Images that were answered.",
    ["model", "deployment"],
    registry=registry,
)


def hear(seen: Observed) -> None:
    """A listener of core.gateway.observed."""
    model = seen.model if seen.version_id is not None else NOBODY
    deployment = str(seen.deployment_id) if seen.deployment_id is not None else NOBODY
    gateway_requests.labels(model, deployment, str(seen.status)).inc()
    gateway_seconds.labels(model, deployment).observe(seen.seconds)
    answered = sum(told.label is not None or told.answered for told in seen.predictions)
    if answered:
        gateway_images.labels(model, deployment).inc(answered)


def exposition(wb: Workbench) -> bytes:
    """Everything, in Prometheus' text format."""
    state = CollectorRegistry()
    state.register(_State(wb))
    return generate_latest(registry) + generate_latest(state)


class _State(Collector):
    """What database and broker say now."""

    def __init__(self, wb: Workbench) -> None:
        self.wb = wb

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from self._of_database()
        yield from self._of_broker()

    def _of_database(self) -> Iterator[GaugeMetricFamily]:
        try:
            with self.wb.db.read() as connection:
                jobs = finetuning_jobs.c
                runs = _tally(connection, jobs.status, jobs.status.in_(RUN_STATES))
                served = _tally(connection, deployments.c.status, deployments.c.desired == UP)
                told = _tally(connection, notices.c.status, notices.c.status.in_(NOTICE_STATES))
            firing = sum(alert.firing for alert in alerts.every(self.wb))
        except DATABASE_AWAY:
            yield _gauge("veritrain_database_up", "Whether the metadata database answers.", 0)
            return
        yield _gauge("veritrain_database_up", "Whether the metadata database answers.", 1)
        yield _gauges("veritrain_runs", "Jobs that have not ended, by status.", "status", RUN_STATES, runs)
        yield _gauges(
            "veritrain_deployments",
            "Deployments that should be up, by what they are.",
            "status",
            DEPLOYMENT_STATES,
            served,
        )
        yield _gauges(
            "veritrain_notices",
            "Webhooks and e-mails of the last 30 days that wait for a try or were given up.",
            "status",
            NOTICE_STATES,
            told,
        )
        yield _gauge("veritrain_alerts_firing", "Alert rules that are firing.", firing)

    def _of_broker(self) -> Iterator[GaugeMetricFamily]:
        try:
            waiting = {name: len(ids) for name, ids in queue.order(self.wb).items()}
            workers = Tally(name for each in queue.workers(self.wb) for name in each.queues)
            lag = collector_lag(self.wb)
        except (Unavailable, redis.RedisError):
            yield _gauge("veritrain_broker_up", "Whether the broker answers.", 0)
            return
        names = tuple(waiting)
        yield _gauge("veritrain_broker_up", "Whether the broker answers.", 1)
        yield _gauges("veritrain_queue_jobs", "Jobs that wait for a worker.", "queue", names, waiting)
        yield _gauges("veritrain_workers", "Workers that serve a queue.", "queue", names, workers)
        yield _gauge(
            "veritrain_collector_lag_seconds", "Age of the oldest event that is not in the database yet.", lag
        )


def collector_lag(wb: Workbench) -> float:
    """Seconds for which the oldest event in the stream waits; those that are written are trimmed off it."""
    oldest: Any = wb.broker.xrange(events.STREAM, count=1)
    if not oldest:
        return 0.0
    milliseconds = int(oldest[0][0].split(b"-")[0])
    return max(time.time() - milliseconds / 1_000, 0.0)


def _tally(connection: sa.Connection, column: Any, where: sa.ColumnElement[bool]) -> dict[str, int]:
    query = sa.select(column, sa.func.count()).where(where).group_by(column)
    return {str(name): int(n) for name, n in connection.execute(query)}


def _gauge(name: str, help: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help, value=value)


def _gauges(
    name: str, help: str, label: str, values: tuple[str, ...], found: dict[str, int]
) -> GaugeMetricFamily:
    """One series for each of `values`, so that what is none reads 0."""
    family = GaugeMetricFamily(name, help, labels=[label])
    for value in values:
        family.add_metric([value], found.get(value, 0))
    return family
