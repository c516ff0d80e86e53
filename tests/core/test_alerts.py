"""Alerts begin and end once for a change that lasts, and tell of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import auth
from core.alerts import alerts, words
from core.alerts.rule import FIRING, OK, Rule, State, after
from core.errors import InvalidInput, NotAllowed, NotFound
from core.monitoring import minutes
from core.monitoring.counts import Counts
from core.notices import outbox, webhooks
from core.workbench import Workbench
from tests.core.test_serving import deployed

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ERRORS: dict[str, Any] = {"metric": "error_rate", "threshold": 0.1, "window_minutes": 5, "hold_minutes": 2}


def states(rule: Rule, values: list[float | None], step: timedelta = timedelta(seconds=15)) -> list[str]:
    state, found = State(OK, NOON), []
    for place, value in enumerate(values):
        state = after(state, rule, value, NOON + step * place)
        found.append(state.name)
    return found


def test_an_alert_begins_after_its_time_and_ends_only_beyond_the_margin() -> None:
    rule = Rule.model_validate(ERRORS)
    assert states(rule, [0.2] * 8) == [OK] * 8  # 105 seconds
    assert states(rule, [0.2] * 9) == [OK] * 8 + [FIRING]
    assert states(rule, [0.2] * 5 + [0.05] + [0.2] * 8) == [OK] * 14  # one calm look starts it anew
    fires = [0.2] * 9
    assert states(rule, [*fires, *[0.095] * 40])[-1] == FIRING  # below the limit, within the margin
    assert states(rule, [*fires, *[0.05] * 9])[-1] == OK
    assert states(rule, [*fires, *[None] * 9])[-1] == OK  # nobody asks any more
    low = Rule(metric="confidence", above=False, threshold=0.95, hold_minutes=0)
    assert states(low, [0.96, 0.94, 0.96, 0.98]) == [OK, FIRING, FIRING, OK]


@given(st.lists(st.floats(0.091, 0.1), max_size=60), st.sampled_from([OK, FIRING]))
def test_a_value_near_the_limit_changes_nothing(values: list[float], name: str) -> None:
    rule = Rule.model_validate(ERRORS | {"hold_minutes": 0})
    state = State(name, NOON)
    for value in values:
        state = after(state, rule, value, NOON)
    assert state.name == name


def heard(wb: Workbench, deployment_id: int, at: datetime, errors: int, good: int) -> None:
    counts = Counts()
    for status in [503] * errors + [200] * good:
        counts.hear(0.1, status)
    for _ in range(good):
        counts.answer("cat", 0.9)
    minutes.store(wb, {(deployment_id, minutes.minute_of(at)): counts})


def test_who_asked_is_told_once_when_it_begins_and_once_when_it_ends(
    wb: Workbench, trainer: auth.User, admin: auth.User
) -> None:
    made = deployed(wb, trainer, "http://127.0.0.1:1")
    webhooks.create(
        replace(wb, settings=replace(wb.settings, local_webhooks=True)),
        admin,
        "http://127.0.0.1:9/",
        ["alert.firing", "alert.resolved"],
    )
    rule = ERRORS | {"emails": ["ada@example.org"]}
    alert = alerts.create(wb, trainer, rule, deployment_id=made.id)
    whole = alerts.create(wb, trainer, ERRORS | {"threshold": 0.9}, model_id=made.version.model_id)
    heard(wb, made.id, NOON, errors=5, good=5)
    for second in range(0, 300, 15):
        alerts.turn(wb, NOON + timedelta(seconds=60 + second))
    now = alerts.get(wb, alert.id)
    assert now.firing and now.value == 0.5 and not alerts.get(wb, whole.id).firing
    assert [each.id for each in alerts.every(wb, deployment_id=made.id)] == [alert.id, whole.id]
    told = outbox.newest(wb, 10)
    assert sorted(each.event for each in told) == ["alert.firing"] * 2
    letter = next(json.loads(each.body) for each in told if each.webhook_id is None)
    assert letter["subject"] == "Alert: Animals, Share of errors" and "above 10 %" in letter["text"]
    address = f"{wb.settings.public_url}/monitoring?theme={alert.theme_id}&deployment={made.id}"
    assert letter["text"].endswith(f"{address}\n")
    for second in range(0, 600, 15):
        alerts.turn(wb, NOON + timedelta(minutes=8, seconds=second))
    assert not alerts.get(wb, alert.id).firing
    assert (
        sorted(each.event for each in outbox.newest(wb, 10)) == ["alert.firing"] * 2 + ["alert.resolved"] * 2
    )
    assert not alerts.change(wb, trainer, alert.id, active=False).active
    alerts.delete(wb, trainer, alert.id)
    with pytest.raises(NotFound, match="no alert"):
        alerts.delete(wb, trainer, alert.id)


def test_each_figure_is_what_its_name_says(wb_duckdb: Workbench, trainer: auth.User) -> None:
    made = deployed(wb_duckdb, trainer, "http://127.0.0.1:1")
    heard(wb_duckdb, made.id, NOON, errors=5, good=15)

    def seen(**rule: Any) -> float | None:
        alert = alerts.create(
            wb_duckdb, trainer, {"threshold": 0.5, "window_minutes": 10} | rule, deployment_id=made.id
        )
        return alerts.measured(wb_duckdb, alert, NOON + timedelta(minutes=2))

    assert (seen(metric="error_rate"), seen(metric="requests")) == (0.25, 2.0)
    assert seen(metric="p95") == pytest.approx(0.1, rel=0.19)
    assert seen(metric="confidence") == pytest.approx(0.9)
    assert (seen(metric="share", label="cat"), seen(metric="share", label="dog")) == (1.0, 0.0)
    assert seen(metric="drift") is None  # of 15 answers nothing can be said


def test_rules_that_make_no_sense_are_refused(
    wb_duckdb: Workbench, trainer: auth.User, viewer: auth.User
) -> None:
    made = deployed(wb_duckdb, trainer, "http://127.0.0.1:1")
    for wrong in (
        {"metric": "share"},
        {"metric": "p95", "label": "cat"},
        {"threshold": 1.5},
        {"threshold": float("nan")},
        {"metric": "height"},
        {"window_minutes": 0},
        {"emails": ["ada"]},
    ):
        with pytest.raises(InvalidInput, match="of the alert is not right"):
            alerts.create(wb_duckdb, trainer, ERRORS | wrong, deployment_id=made.id)
    with pytest.raises(InvalidInput, match="either a model or a deployment"):
        alerts.create(wb_duckdb, trainer, ERRORS)
    with pytest.raises(NotFound, match="no model 99"):
        alerts.create(wb_duckdb, trainer, ERRORS, model_id=99)
    with pytest.raises(NotAllowed):
        alerts.create(wb_duckdb, viewer, ERRORS, deployment_id=made.id)


def test_a_rule_in_words() -> None:
    rule = Rule(metric="share", label="dog", above=False, threshold=0.25, window_minutes=60, hold_minutes=5)
    assert words.sentence(rule) == "Share of “dog” below 25 % over the last 60 min, for 5 min"
