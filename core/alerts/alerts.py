"""Stored. The rules of alerts, their evaluation, and what is told when one begins or ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from core import audit, auth, serving
from core.addresses import Address
from core.alerts import rule as rules
from core.alerts import words
from core.alerts.rule import FIRING, OK, Rule, State
from core.db.engine import next_ids
from core.db.tables import deployments, model_registry, models, themes
from core.db.watching_tables import alert_rules as table
from core.errors import InvalidInput, NotFound
from core.monitoring import minutes, reference
from core.monitoring.counts import Counts
from core.notices import outbox
from core.workbench import Workbench

MAX_RULES = 200
"""Each is evaluated every quarter of a minute."""


@dataclass(frozen=True)
class Alert:
    """A rule and what it says now."""

    id: int
    model_id: int
    model_name: str
    theme_id: int
    theme_name: str
    deployment_id: int | None
    """None: all deployments of the model together."""
    rule: Rule
    active: bool
    state: State
    value: float | None
    looked_at: datetime | None

    @property
    def firing(self) -> bool:
        return self.active and self.state.name == FIRING


def create(
    wb: Workbench,
    actor: auth.User,
    raw: Any,
    *,
    model_id: int | None = None,
    deployment_id: int | None = None,
) -> Alert:
    """A rule for one deployment, or for whatever serves a model. Raises InvalidInput, NotFound, NotAllowed."""
    auth.require(actor, auth.TRAINER)
    rule = rules.parsed(raw)
    if (model_id is None) == (deployment_id is None):
        raise InvalidInput("An alert is about either a model or a deployment; name one of them.")
    if deployment_id is not None:
        model_id = serving.get(wb, deployment_id).version.model_id

    def work(connection: sa.Connection) -> int:
        live = sa.select(models.c.id).join(themes, themes.c.id == models.c.theme_id)
        live = live.where(models.c.id == model_id, themes.c.deleted_at.is_(None))
        if connection.execute(live).first() is None:
            raise NotFound("There is no model {id}.", id=model_id)
        if (connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() or 0) >= MAX_RULES:
            raise InvalidInput("There are {limit} rules already; delete some first.", limit=MAX_RULES)
        [rule_id] = next_ids(connection, "alert_rules_id_seq", 1)
        now = datetime.now(UTC)
        connection.execute(
            table.insert().values(
                id=rule_id,
                model_id=model_id,
                deployment_id=deployment_id,
                rule=rule.model_dump(mode="json"),
                active=True,
                created_by=actor.id,
                created_at=now,
                state=OK,
                since=now,
            )
        )
        audit.record(connection, actor, "alert.create", f"alert {rule_id}", rule.model_dump(mode="json"))
        return rule_id

    return get(wb, wb.db.write(work))


def change(
    wb: Workbench, actor: auth.User, alert_id: int, *, raw: Any = None, active: bool | None = None
) -> Alert:
    """Another rule in its place, or switch it; it begins as ok. Raises NotFound, InvalidInput, NotAllowed."""
    auth.require(actor, auth.TRAINER)
    get(wb, alert_id)
    values: dict[str, Any] = {"state": OK, "since": datetime.now(UTC), "turning": None}
    if raw is not None:
        values["rule"] = rules.parsed(raw).model_dump(mode="json")
    if active is not None:
        values["active"] = active

    def work(connection: sa.Connection) -> None:
        connection.execute(table.update().where(table.c.id == alert_id).values(**values))
        audit.record(connection, actor, "alert.change", f"alert {alert_id}", values.get("rule"))

    wb.db.write(work)
    return get(wb, alert_id)


def delete(wb: Workbench, actor: auth.User, alert_id: int) -> None:
    """Raises NotFound, NotAllowed."""
    auth.require(actor, auth.TRAINER)
    get(wb, alert_id)

    def work(connection: sa.Connection) -> None:
        connection.execute(table.delete().where(table.c.id == alert_id))
        audit.record(connection, actor, "alert.delete", f"alert {alert_id}")

    wb.db.write(work)


def get(wb: Workbench, alert_id: int) -> Alert:
    """Raises NotFound."""
    for alert in every(wb):
        if alert.id == alert_id:
            return alert
    raise NotFound("There is no alert {id}.", id=alert_id)


def every(wb: Workbench, theme_id: int | None = None, deployment_id: int | None = None) -> list[Alert]:
    """All, those that fire first; of one theme, or those that concern one deployment."""
    query = (
        sa.select(
            table, models.c.name.label("model_name"), models.c.theme_id, themes.c.name.label("theme_name")
        )
        .join(models, models.c.id == table.c.model_id)
        .join(themes, themes.c.id == models.c.theme_id)
        .where(themes.c.deleted_at.is_(None))
        .order_by(table.c.id)
    )
    if theme_id is not None:
        query = query.where(models.c.theme_id == theme_id)
    if deployment_id is not None:
        own = sa.select(model_registry.c.model_id).join(
            deployments, deployments.c.version_id == model_registry.c.id
        )
        whole = sa.and_(
            table.c.deployment_id.is_(None),
            table.c.model_id.in_(own.where(deployments.c.id == deployment_id)),
        )
        query = query.where(sa.or_(table.c.deployment_id == deployment_id, whole))
    with wb.db.read() as connection:
        found = [_alert(row) for row in connection.execute(query).mappings()]
    return sorted(found, key=lambda alert: (not alert.firing, alert.id))


def turn(wb: Workbench, now: datetime | None = None) -> None:
    """Look at every active rule once; whoever is to be told of a change is told in its own transaction."""
    now = now or datetime.now(UTC)
    for alert in every(wb):
        if alert.active:
            value = measured(wb, alert, now)
            _settle(wb, alert, value, rules.after(alert.state, alert.rule, value, now), now)


def measured(wb: Workbench, alert: Alert, now: datetime) -> float | None:
    """The rule's figure over its window; None where nobody asked anything."""
    served = _deployments(wb, alert)
    since = minutes.minute_of(now - timedelta(minutes=alert.rule.window_minutes))
    counts = minutes.total(minutes.series(wb, [each.id for each in served], since, now, minutes.MINUTE))
    if alert.rule.metric == rules.DRIFT:
        return _drift(wb, served, counts)
    return figure(alert.rule, counts)


def figure(rule: Rule, counts: Counts) -> float | None:
    """Any but drift."""
    if rule.metric == rules.ERRORS:
        return counts.error_rate
    if rule.metric == rules.P95:
        return counts.percentile(0.95)
    if rule.metric == rules.CONFIDENCE:
        return counts.mean_confidence
    if rule.metric == rules.SHARE:
        answered = counts.classes.total()
        return counts.classes[rule.label or ""] / answered if answered else None
    return counts.requests / rule.window_minutes


def _drift(wb: Workbench, served: Sequence[serving.Deployment], counts: Counts) -> float | None:
    """The largest index of what moved by more than chance; of a model, against what its newest deployment learnt from."""
    learnt = reference.of(wb, served[0].version) if served else None
    if learnt is None:
        return None
    found = reference.compare(learnt, counts).features
    return max((each.psi or 0.0 for each in found if each.level != "same"), default=0.0) if found else None


def _deployments(wb: Workbench, alert: Alert) -> list[serving.Deployment]:
    """None where the version was deleted."""
    found = serving.deployments(wb, alert.theme_id, live_only=False)
    if alert.deployment_id is not None:
        return [each for each in found if each.id == alert.deployment_id]
    return [each for each in found if each.version.model_id == alert.model_id]


def _settle(wb: Workbench, alert: Alert, value: float | None, state: State, now: datetime) -> None:
    values = {
        "state": state.name,
        "since": state.since,
        "turning": state.turning,
        "value": value,
        "looked_at": now,
    }

    def work(connection: sa.Connection) -> None:
        # Another process may have settled it, or a person changed it, meanwhile.
        same = sa.and_(
            table.c.id == alert.id,
            table.c.active,
            table.c.state == alert.state.name,
            table.c.since == alert.state.since,
        )
        changed = connection.execute(
            table.update().where(same).values(**values).returning(table.c.id)
        ).first()
        if changed is not None and state.name != alert.state.name:
            _tell(connection, alert, value, state, wb.settings.public_url + _address(alert).url)

    wb.db.write(work)


def _address(alert: Alert) -> Address:
    """Of the screen that shows what it is about."""
    query: dict[str, str | int] = {"theme": alert.theme_id}
    if alert.deployment_id is not None:
        query["deployment"] = alert.deployment_id
    return Address("monitoring", query)


def _tell(connection: sa.Connection, alert: Alert, value: float | None, state: State, url: str) -> None:
    event = outbox.ALERT_FIRING if state.name == FIRING else outbox.ALERT_RESOLVED
    said: dict[str, Any] = {
        "alert_id": alert.id,
        "model": alert.model_name,
        "theme_id": alert.theme_id,
        "deployment_id": alert.deployment_id,
        "rule": alert.rule.model_dump(mode="json", exclude={"emails"}),
        "value": value,
        "state": state.name,
    }
    outbox.tell(connection, event, said)
    if alert.rule.emails:
        subject = words.subject(alert.theme_name, alert.rule, state)
        outbox.mail(
            connection,
            alert.rule.emails,
            event,
            subject,
            words.letter(alert.theme_name, alert.rule, value, state, url),
        )


def _alert(row: Mapping[Any, Any]) -> Alert:
    return Alert(
        id=row["id"],
        model_id=row["model_id"],
        model_name=row["model_name"],
        theme_id=row["theme_id"],
        theme_name=row["theme_name"],
        deployment_id=row["deployment_id"],
        rule=Rule.model_validate(row["rule"]),
        active=row["active"],
        state=State(row["state"], row["since"], row["turning"]),
        value=row["value"],
        looked_at=row["looked_at"],
    )
