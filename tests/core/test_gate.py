"""What the promotion rules of a theme ask for, line by line, and a second person's approval."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from pictures import png

from core import auth, gate, images, ledger, params, registry, splits, stages, themes
from core.ab import report, trials
from core.db.tables import model_benchmarks
from core.db.tables import themes as theme_rows
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from core.evaluations import answers
from core.gate import Line, policy
from core.params import GatePolicy
from core.quality import findings
from core.registry import Version
from core.workbench import Workbench
from tests.core.ab.rig import PLAN, another_version, started, two_versions
from tests.steps import ready_theme
from tests.trained import Right, finished

NOTHING = "champion: {verdict: false, accuracy: false}\n"


def trained(wb: Workbench, actor: auth.User, theme_id: int, right: Right | None, **facts: Any) -> Version:
    """A version from a finished run with those right answers."""
    number = len(registry.versions(wb, theme_id)) + 1
    name = f"veritrain-theme-{theme_id}"
    size = facts.pop("size", None)
    model = {"name": name, "version": number, "uri": f"models:/{name}/{number}", "size": size}
    version = registry.of_run(wb, finished(wb, actor, theme_id, right, model=model, **facts).id)
    assert version is not None
    return version


def ask(wb: Workbench, admin: auth.User, theme_id: int, rules: str) -> None:
    """Have the gate ask for these rules alone."""
    policy.save(wb, admin, theme_id, NOTHING + rules)


def line(wb: Workbench, version: Version, actor: auth.User | None = None) -> Line:
    [found] = gate.look(wb, version.id, actor)
    return found


def score(wb: Workbench, version: Version, name: str, value: float) -> None:
    row = {"version_id": version.id, "name": name, "score": value, "detail": {}, "created_by": 1}
    wb.db.write(
        lambda c: c.execute(model_benchmarks.insert().values(created_at=datetime.now(UTC), **row)) and None
    )


def test_a_minimum_is_judged_by_the_lower_end_of_the_interval(
    wb_duckdb: Workbench, admin: auth.User, trainer: auth.User
) -> None:
    wb = wb_duckdb
    theme = ready_theme(wb, trainer)
    perfect = trained(wb, trainer, theme.id, lambda image_id: True)
    n = perfect.metrics["test"]["n"]
    low = n / (n + 1.959964**2)  # Wilson's lower end where all n are right
    ask(wb, admin, theme.id, f"metric: {{enabled: true, minimum: {low - 0.001:.4f}}}")
    found = line(wb, perfect)
    assert (found.state, found.fields["low"]) == ("green", pytest.approx(low))
    assert found.address is not None and found.address.url == f"/run?run={perfect.run_id}"
    ask(wb, admin, theme.id, f"metric: {{enabled: true, minimum: {low + 0.001:.4f}}}")
    found = line(wb, perfect)
    assert found.state == "red" and "That may be chance: label more images" in found.text()
    assert f"Right on 100.0 % of its {n} test images" in found.text()
    wrong = trained(wb, trainer, theme.id, lambda image_id: False)
    assert "says what would help most" in line(wb, wrong).text()
    ask(wb, admin, theme.id, "metric: {enabled: true, name: macro_f1, minimum: 0.5}")
    assert line(wb, perfect).state == "green" and "macro F1" in line(wb, perfect).text()
    assert (line(wb, wrong).state, line(wb, wrong).fields["value"]) == ("red", 0.0)
    with pytest.raises(gate.Refused, match="macro F1"):
        stages.promote(wb, trainer, wrong.id, "production", "please")


def test_worse_on_one_kind_of_images_is_red_and_chance_is_not(
    wb_duckdb: Workbench, admin: auth.User, trainer: auth.User
) -> None:
    wb = wb_duckdb
    theme = themes.create(wb, trainer, name="Parts", labels=["good", "bad"])
    files = [(f"{('good', 'bad')[n % 2]}/{n}.png", png(n, (24, 24))) for n in range(600)]
    images.add(wb, trainer, theme.id, files, label_from_folder=True)
    splits.split(wb, trainer, theme.id)
    ask(wb, admin, theme.id, "")
    policy.save(wb, admin, theme.id, NOTHING.replace("false}", "false, slices: {enabled: true}}"))
    one = trained(wb, trainer, theme.id, lambda image_id: True)
    assert line(wb, one).state == "open" and "No version is in production" in line(wb, one).text()
    stages.promote(wb, trainer, one.id, "production", "the first one")

    with wb.db.read() as connection:
        tested = registry.read(connection, one.id)
    run = finished(wb, trainer, theme.id, lambda image_id: True)
    said = answers.of_run(wb, run)
    assert said is not None and tested.metrics["test"]["n"] == len(said.ids)
    light = dict(zip(said.ids.tolist(), answers.facts(wb, said.ids)[0]["light"].tolist(), strict=True))
    dark = float(np.quantile(list(light.values()), 1 / 3))
    blind = trained(wb, trainer, theme.id, lambda image_id: light.get(image_id, 255) > dark)
    found = line(wb, blind)
    assert found.state == "red" and (found.fields["feature"], found.fields["kind"]) == ("light", "low")
    assert "Brightness, the darkest third: right on 0.0 %" in found.text()
    assert found.address is not None
    assert found.address.query == {"runs": f"{one.run_id},{blind.run_id}"}
    unlucky = trained(wb, trainer, theme.id, lambda image_id: image_id != min(light))
    assert line(wb, unlucky).state == "green" and line(wb, unlucky).fields["kinds"] > 2
    silent = trained(wb, trainer, theme.id, None)
    assert line(wb, silent).state == "red" and "not both runs kept their answers" in line(wb, silent).text()

    stages.promote(wb, trainer, unlucky.id, "production", "as good")
    assert "version 3 on" in line(wb, blind).text()
    entry = stages.promote(wb, admin, blind.id, "production", "try it", override="for one night")
    assert [kept["code"] for kept in entry.evidence["gate"]] == ["slices"]
    assert entry.evidence["gate"][0]["fields"]["worse"] >= 1 and ledger.verify(wb) == []


def test_kinds_are_compared_with_what_is_in_production_when_it_is_decided(
    wb: Workbench, admin: auth.User, trainer: auth.User
) -> None:
    theme = ready_theme(wb, trainer)
    first, one, two = (trained(wb, trainer, theme.id, None) for _ in range(3))
    policy.save(wb, admin, theme.id, NOTHING.replace("false}", "false, slices: {enabled: true}}"))
    stages.promote(wb, trainer, first.id, "production", "the first one")
    barrier = threading.Barrier(2)

    def go(version: Version) -> ledger.Entry:
        barrier.wait()
        return stages.promote(wb, admin, version.id, "production", "mine", override="now")

    with ThreadPoolExecutor(2) as pool:
        entries = sorted(pool.map(go, [one, two]), key=lambda entry: entry.id)
    compared = [entry.evidence["gate"][0]["fields"]["champion_id"] for entry in entries]
    assert compared == [first.id, entries[0].version_id] and ledger.verify(wb) == []


def test_too_few_images_of_every_kind_stop_nobody(
    wb_duckdb: Workbench, admin: auth.User, trainer: auth.User
) -> None:
    wb = wb_duckdb
    theme = ready_theme(wb, trainer)
    one, two = (trained(wb, trainer, theme.id, lambda image_id: True) for _ in range(2))
    policy.save(wb, admin, theme.id, NOTHING.replace("false}", "false, slices: {enabled: true}}"))
    stages.promote(wb, trainer, one.id, "production", "the first one")
    assert line(wb, two).state == "open" and "has 20 test images of both" in line(wb, two).text()


def test_benchmarks_latency_and_size(wb: Workbench, admin: auth.User, trainer: auth.User) -> None:
    theme = ready_theme(wb, trainer)
    fast = trained(wb, trainer, theme.id, lambda image_id: True, latency_ms=12.5, size=40 * 2**20)
    old = trained(wb, trainer, theme.id, lambda image_id: True)
    ask(wb, admin, theme.id, "benchmarks: {night shots: 0.8, rain: 0.5}")
    score(wb, fast, "rain", 0.5)
    score(wb, fast, "night shots", 0.95)
    score(wb, fast, "night shots", 0.7)
    night, rain = gate.look(wb, fast.id)
    assert (night.state, night.fields["score"], rain.state) == ("red", 0.7, "green")
    assert "“night shots” is 0.7; at least 0.8" in night.text()
    assert night.address is not None and night.address.url == f"/passport?version={fast.id}"
    assert {each.state for each in gate.look(wb, old.id)} == {"red"}
    assert "no score in “rain” yet" in gate.look(wb, old.id)[1].text()
    score(wb, fast, "night shots", 0.8)
    assert {each.state for each in gate.look(wb, fast.id)} == {"green"}
    for rule, good, bad, unknown in (
        ("latency", 12.5, 12.4, "was not measured"),
        ("size", 40.0, 39.9, "is not known"),
    ):
        ask(wb, admin, theme.id, f"{rule}: {{enabled: true, limit: {good}}}")
        assert line(wb, fast).state == "green"
        assert line(wb, old).state == "red" and unknown in line(wb, old).text()
        ask(wb, admin, theme.id, f"{rule}: {{enabled: true, limit: {bad}}}")
        assert line(wb, fast).state == "red" and "smaller architecture" in line(wb, fast).text()


def test_the_dataset_gate_must_pass_and_be_up_to_date(
    wb_duckdb: Workbench, admin: auth.User, trainer: auth.User
) -> None:
    wb = wb_duckdb
    theme = ready_theme(wb, trainer)
    version = trained(wb, trainer, theme.id, lambda image_id: True)
    ask(wb, admin, theme.id, "release: {dataset: true}")
    findings.set_rules(wb, trainer, theme.id, {"least_per_label": 1, "most_twins": 1.0})
    assert line(wb, version).state == "green"
    findings.set_rules(wb, trainer, theme.id, {"least_per_label": 100})
    found = line(wb, version)
    assert (found.state, found.fields["failed"]) == ("red", ["per-label"])
    assert found.address is not None and found.address.url == f"/quality?theme={theme.id}"
    findings.set_rules(wb, trainer, theme.id, {"least_per_label": 1})
    late = theme_rows.update().where(theme_rows.c.id == theme.id).values(compared_until=0)
    wb.db.write(lambda connection: connection.execute(late) and None)
    assert line(wb, version).state == "red" and "24 images were not looked at" in line(wb, version).text()


def test_a_second_person_approves(
    wb: Workbench, admin: auth.User, trainer: auth.User, labeler: auth.User
) -> None:
    _, [one, two] = two_versions(wb, trainer)
    version = registry.get(wb, one)
    policy.save(wb, admin, version.theme_id, NOTHING + "release: {approval: true}")
    assert "Nobody has approved" in line(wb, version, trainer).text()
    for refused, match in ((" ", "Say in 1 to"), ("x" * 2_001, "Say in 1 to"), ("a\0", "cannot be stored")):
        with pytest.raises(InvalidInput, match=match):
            gate.approve(wb, trainer, one, refused)
    with pytest.raises(NotAllowed):
        gate.approve(wb, labeler, one, "looks good")
    with pytest.raises(NotFound):
        gate.approve(wb, trainer, 999, "looks good")
    made = gate.approve(wb, trainer, one, " I looked at the mistakes. ")
    assert (made.user_name, made.note) == ("trainer", "I looked at the mistakes.")
    with pytest.raises(Conflict, match="already"):
        gate.approve(wb, trainer, one, "twice")
    with pytest.raises(gate.Refused, match="Nobody but you has approved"):
        stages.promote(wb, trainer, one, "production", "my own")
    assert line(wb, version, admin).text() == "Approved by trainer."
    entry = stages.promote(wb, admin, one, "production", "approved")
    assert entry.evidence["approvals"] == [made.plain()] and gate.approvals_of(wb, one) == [made]
    assert entry.evidence["override"] is None
    with pytest.raises(Conflict, match="is not in staging"):
        gate.approve(wb, trainer, one, "too late")
    assert gate.approvals_of(wb, two) == []
    with pytest.raises(NotFound):
        gate.approvals_of(wb, 999)


def test_the_ledger_keeps_policy_lines_and_override(
    wb: Workbench, admin: auth.User, trainer: auth.User
) -> None:
    theme, [one, two] = two_versions(wb, trainer)
    assert policy.of_theme(wb, theme.id).rules == GatePolicy()
    first = stages.promote(wb, trainer, one, "production", "the first one")
    assert [kept["code"] for kept in first.evidence["gate"]] == ["verdict", "accuracy"]
    with pytest.raises(NotAllowed):
        policy.save(wb, trainer, theme.id, "champion: {verdict: false}")
    with pytest.raises(NotFound):
        policy.save(wb, admin, 999, "")
    with pytest.raises(InvalidInput, match=r"Line 2: “size\.limit” is -1; allowed is 0\.1 to 100000"):
        policy.save(wb, admin, theme.id, "size:\n  limit: -1\n")
    kept = policy.save(wb, admin, theme.id, "# tight\nsize: {enabled: true, limit: 0.5}\n")
    said = policy.save(wb, admin, theme.id, kept.rules)
    assert said.hash == kept.hash and said.hash != policy.Policy(GatePolicy(), "", "").hash
    assert said.text.startswith("# tight")
    entry = stages.promote(wb, admin, two, "production", "now", override="the customer waits")
    assert entry.evidence["policy"]["hash"] == kept.hash
    assert entry.evidence["policy"]["rules"] == kept.rules.model_dump(mode="json")
    states = {line["code"]: line["state"] for line in entry.evidence["gate"]}
    assert states == {"verdict": "red", "accuracy": "green", "size": "red"}
    assert entry.evidence["override"] == "the customer waits" and ledger.verify(wb) == []

    [newest, oldest] = params.history(wb.settings, theme.id, of=params.GATE)
    assert (newest.author, oldest.author) == ("admin", "admin")
    assert oldest.sentences() == ["Limit the size: off → on", "Largest size: 500 → 0.5 MB"]
    assert params.history(wb.settings, theme.id) == []  # the parameters have a history of their own
    params.save(wb.settings, theme.id, "trainer", params.parse_yaml("training: {epochs: 3}", params.Params))
    policy.save(wb, admin, theme.id, "benchmarks: {rain: 0.5}", base=said.version)
    [newest, *_] = params.history(wb.settings, theme.id, of=params.GATE)
    assert newest.sentences()[-1] == "Largest size: 0.5 → 500 MB"
    assert "Benchmarks: none → rain 0.5" in newest.sentences()
    with pytest.raises(params.ChangedMeanwhile):
        policy.save(wb, admin, theme.id, "", base=kept.version)
    with pytest.raises(NotAllowed):
        policy.restore(wb, trainer, theme.id, oldest.id)
    assert policy.restore(wb, admin, theme.id, oldest.id).hash == kept.hash
    assert params.saved(wb.settings, theme.id)[0].training.epochs == 3
    with wb.db.read() as connection:
        acts = connection.execute(
            sa.text("SELECT action FROM audit_log WHERE object = :o"), {"o": f"theme {theme.id}"}
        )
        assert acts.scalars().all().count("gate.policy") == 4


def test_the_challenger_is_b_of_the_running_test_or_the_newest_in_staging(
    wb: Workbench, trainer: auth.User
) -> None:
    trial = started(wb, trainer)
    one, two = trial.plan.versions
    theme = themes.get(wb, trial.theme_id)
    name = registry.get(wb, one).model_name
    assert ledger.aliases(wb) == {}
    another_version(wb, trainer, theme, 3)
    stages.promote(wb, trainer, one, "production", "the first one")
    assert ledger.aliases(wb) == {name: {"champion": 1, "challenger": 2}}
    report.stop(wb, None, trial.id, "enough")
    assert ledger.aliases(wb) == {name: {"champion": 1, "challenger": 3}}
    three = max(version.id for version in registry.versions(wb, theme.id))
    other_a = trials.create(wb, trainer, theme.id, "not the champion", PLAN | {"versions": [three, two]})
    trials.start(wb, trainer, other_a.id)
    assert ledger.aliases(wb)[name]["challenger"] == 3
    for version in (two, three):
        stages.promote(wb, trainer, version, "archived", "no use")
    assert ledger.aliases(wb) == {name: {"champion": 1}}
