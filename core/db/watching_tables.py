"""Stored. The tables of what is watched: requests to deployments by the minute, alerts, webhooks."""

from __future__ import annotations

import sqlalchemy as sa

from core.db import tables  # noqa: F401  # the tables that these refer to
from core.db.columns import Json, Time, id_column, metadata, reference

serving_minutes = sa.Table(
    "serving_minutes",
    metadata,
    id_column("serving_minutes"),
    *reference("deployment_id", "deployments"),
    sa.Column("at", Time, nullable=False),  # when its time begins
    sa.Column("span", sa.Integer, nullable=False),  # seconds, 0 = a part of a minute; rows add up
    sa.Column("counts", Json, nullable=False),  # core.monitoring.counts.Counts
)
sa.Index("ix_serving_minutes_deployment_id_at", serving_minutes.c.deployment_id, serving_minutes.c.at)

webhooks = sa.Table(
    "webhooks",
    metadata,
    id_column("webhooks"),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("events", Json, nullable=False),  # names of core.notices.outbox.EVENTS
    sa.Column("secret", sa.String(64), nullable=False),  # signs what is sent; shown once, when it is made
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_by", sa.BigInteger, nullable=False),
    sa.Column("created_at", Time, nullable=False),
)

notices = sa.Table(
    "notices",  # the outbox of webhooks and e-mails, and the log of what became of them
    metadata,
    id_column("notices"),
    sa.Column("message_id", sa.String(40), nullable=False),  # by which the receiver knows a repetition
    sa.Column("webhook_id", sa.BigInteger),  # NULL = an e-mail
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("event", sa.String(32), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),  # waiting | delivered | failed
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("next_at", Time),  # NULL = there is no further try
    sa.Column("answer", sa.Text),  # of the last try
    sa.Column("done_at", Time),
)

alert_rules = sa.Table(
    "alert_rules",
    metadata,
    id_column("alert_rules"),
    *reference("model_id", "models"),
    sa.Column("deployment_id", sa.BigInteger),  # NULL = all of the model's deployments together
    sa.Column("rule", Json, nullable=False),  # core.alerts.rule.Rule
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_by", sa.BigInteger, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("state", sa.String(8), nullable=False),  # ok | firing
    sa.Column("since", Time, nullable=False),  # when it became so
    sa.Column("turning", Time),  # since when the value speaks for the other state
    sa.Column("value", sa.Double),  # when it was looked at last
    sa.Column("looked_at", Time),
)
