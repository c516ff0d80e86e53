"""Many who look at one test share the work; what they see is theirs alone where it must be, and never old for long."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from core import auth
from core.ab import monitoring, report, shared, trials
from core.ab.findings import Results
from core.errors import Conflict
from core.workbench import Workbench
from tests.core.ab.rig import PLAN, log, rows, started

pytestmark = pytest.mark.usefixtures("fixed_salt")


def test_who_looks_at_once_shares_one_look_and_changes_show(
    wb: Workbench, trainer: auth.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "SECONDS", 1e9)
    trial = started(wb, trainer)
    log(wb, trial, rows(trial, 300))
    together = threading.Barrier(6)

    def look(_: int) -> Results:
        together.wait()
        return shared.results(wb, trial)

    with ThreadPoolExecutor(6) as pool:
        first, *others = pool.map(look, range(6))
    assert all(each.arms is first.arms for each in others)
    log(wb, trial, rows(trial, 100, seed=1))
    users = [
        sum(arm["users"] for arm in made["variants"])
        for made in (report.make(wb, trial.id, share=True), report.make(wb, trial.id))
    ]
    assert users == [300, 400]
    counted = [monitoring.now(wb, trial.id, share=share)["users"] for share in (True, False)]
    assert [sum(each.values()) for each in counted] == users
    trials.update(wb, trainer, trial.id, name="Another name")
    assert report.make(wb, trial.id, share=True)["test"]["name"] == "Another name"
    report.stop(wb, trainer, trial.id, "enough")
    assert sum(arm["users"] for arm in report.make(wb, trial.id, share=True)["variants"]) == 400


def test_a_look_that_is_too_old_is_made_anew(
    wb_duckdb: Workbench, trainer: auth.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    wb = wb_duckdb
    monkeypatch.setattr(shared, "SECONDS", 0.0)
    trial = started(wb, trainer)
    for users in (10, 20):
        log(wb, trial, rows(trial, users))
        assert sum(arm.users for arm in shared.results(wb, trial).arms) == users
        assert (
            sum(point["answers"] for point in monitoring.now(wb, trial.id, share=True)["series"]) == 2 * users
        )
    plan = PLAN | {"versions": list(trial.plan.versions)}
    draft = trials.create(wb, trainer, trial.theme_id, "Not yet", plan)
    with pytest.raises(Conflict, match="not started"):
        shared.results(wb, draft)
