"""The report: every figure there with its meaning, the same in every file, and nothing of it in a broken test."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import string
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from pypdf import PdfReader

from core import auth, i18n, registry
from core.ab import analysis, figures, lost, monitoring, report, trials, verdict, words
from core.ab.metrics import METRICS, P95
from core.ab.trials import Trial
from core.ab.verdict import Verdict
from core.db.tables import ab_experiments, ab_phases
from core.workbench import Workbench
from tests.core.ab.rig import PLAN, another_version, log, rows, started, two_versions

pytestmark = pytest.mark.usefixtures("fixed_salt")

DAYS = 6


def aged(wb: Workbench, trial: Trial) -> Trial:
    """The test as if it had started some days ago."""
    began = datetime.now(UTC) - timedelta(days=DAYS)

    def work(connection: sa.Connection) -> None:
        tests, phases = ab_experiments, ab_phases
        connection.execute(tests.update().where(tests.c.id == trial.id).values(started_at=began))
        connection.execute(phases.update().where(phases.c.test_id == trial.id).values(started_at=began))

    wb.db.write(work)
    trials._RECENT.clear()
    return trials.get(wb, trial.id)


def over_days(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    for row in given:
        user = int(row["unit"].split("-")[1])
        row["at"] = (now - timedelta(days=DAYS - 0.1 - user % (DAYS - 1), minutes=user % 60)).isoformat()
    return given


def three(wb: Workbench, actor: auth.User, **plan: Any) -> Trial:
    theme, versions = two_versions(wb, actor)
    another_version(wb, actor, theme, 3)
    versions = sorted(version.id for version in registry.versions(wb, theme.id))
    trial = trials.create(wb, actor, theme.id, "Three", PLAN | {"versions": versions} | plan)
    return trials.start(wb, actor, trial.id)


def full(wb: Workbench, actor: auth.User) -> Trial:
    """A test that has something to say in every figure."""
    guardrails = [{"metric": P95, "margin": 0.2}, {"metric": "error_rate", "margin": 0.5}]
    trial = aged(wb, started(wb, actor, segments=["country"], guardrails=guardrails))
    given = over_days(rows(trial, 1_500, gain=0.4, cost=0.002))
    for n, row in enumerate(given):
        user = int(row["unit"].split("-")[1])
        row |= {"segments": {"country": ("KR", "日本")[user % 2]}, "status": "error" if n % 50 == 0 else "ok"}
        row |= {"query": "<b>q</b>\nsecond line", "feedback": "=1+1 悪い 나쁨"}
        if user % 3 == 0:
            del row["rating"]
    log(wb, trial, given)
    return trial


def spaceless(text: str) -> str:
    return "".join(text.split())


def test_every_file_has_every_figure_and_all_are_equal(wb: Workbench, trainer: auth.User) -> None:
    made = report.make(wb, full(wb, trainer).id, conversations=True)
    leaves = {path: "" if value is None else str(value) for path, value in report.leaves(made)}
    assert len(leaves) == len(list(report.leaves(made))) > 150
    assert json.loads(json.dumps(made)) == made
    table = dict(csv.reader(io.StringIO(report.as_csv(made))))
    assert {path: value.removeprefix("'") for path, value in table.items() if path != "figure"} == leaves
    html = report.as_html(made)
    cells = re.findall(r"<td>([^<]*)</td><td>([^<]*)</td></tr>", html)
    assert {unescape(path): unescape(value) for path, value in cells}.items() >= leaves.items()
    assert "<script" not in html and "http" not in html and "<b>q" not in html
    pages = PdfReader(io.BytesIO(report.as_pdf(made))).pages
    # A long table is broken over pages, each with its head and foot.
    head, foot = "FigureValue", re.compile(rf"A/Btest{made['test']['id']}·\d+$")
    printed = "".join(foot.sub("", spaceless(page.extract_text())).removeprefix(head) for page in pages)
    for path, value in leaves.items():
        assert spaceless(path + value) in printed, path
    for row in figures.rows(made["comparisons"][0], made["test"]):
        for text in (row.label, row.value, row.meaning):
            assert spaceless(text) in spaceless(unescape(re.sub("<[^>]*>", "", html))), text


def test_tables_keep_formulas_from_running_and_everything_else_as_it_is() -> None:
    texts = {"": "", "plain": "plain", "=1+1": "'=1+1", "\rcmd": "'\rcmd", "'=1": "''=1", "-": "'-"}
    table = list(
        csv.reader(io.StringIO(report.as_csv({**{t: t for t in texts}, "n": -1.5, "none": None}), newline=""))
    )
    assert [value for _, value in table[1:]] == [*texts.values(), "-1.5", ""]
    row = dict.fromkeys(lost.COLUMNS) | {"query": "\r=1", "response": "", "rating": 1, "feedback": "@now"}
    [_, cells] = csv.reader(io.StringIO(lost.as_csv([row]), newline=""))
    found = dict(zip(lost.COLUMNS, cells, strict=True))
    assert (found["query"], found["response"], found["rating"], found["feedback"]) == (
        "'\r=1",
        "",
        "1",
        "'@now",
    )


def test_every_figure_stands_with_its_plain_meaning(wb_duckdb: Workbench, trainer: auth.User) -> None:
    made = report.make(wb_duckdb, full(wb_duckdb, trainer).id)
    [each] = made["comparisons"]
    found = {row.key: row for row in figures.rows(each, made["test"])}
    assert found.keys() >= {
        "primary", "lift", "adjusted_p", "fixed", "superiority", "shares", "p95", "effect_size", "equivalence",
        "chance_to_win", "loss", f"guards.{P95}", "guards.error_rate", "novelty", "silence",
    }  # fmt: skip
    for row in (*found.values(), *figures.health(made["health"])):
        assert row.label and row.value and row.meaning.endswith("."), row
        assert not {"{", "}", "nan", "None"} & set(re.findall(r"\{|\}|\bnan\b|None", str(row))), row
    assert re.fullmatch(r"\d+ times in 100 \(\d+ to \d+\).*", found["superiority"].value)
    lift = each["lift"]
    base = made["variants"][0]["mean"]
    assert lift["est"] == pytest.approx(each["primary"]["est"] / base)
    assert lift["low"] < lift["fixed_low"] < lift["est"] < lift["fixed_high"] < lift["high"]
    assert 0 < each["silence"]["rated_b"] < 1 and each["silence"]["tip"] < 0
    assert 3 <= len(each["days"]) <= DAYS and len(each["segments"]) == 2
    assert made["health"]["lag_p95"] > made["health"]["lag_p50"] > 3_600
    for arm in made["variants"]:
        assert arm["low"] < arm["mean"] < arm["high"] and arm["latency"] == sorted(arm["latency"])
        assert arm["latency"][2] == pytest.approx(arm["response_time_p95"]["value"])
        assert sum(arm["ratings"]) == 2 * arm["users_who_rated"]


def test_three_variants_are_each_compared_with_a(wb: Workbench, trainer: auth.User) -> None:
    trial = three(wb, trainer)
    given = rows(trial, 2_400, gain=0.5)
    for row in given:
        if trial.rule().arm(row["unit"]) == "C":
            row["rating"] = max(1, row["rating"] - 1)
    log(wb, trial, given)
    made = report.make(wb, trial.id)
    by_name = {each["variant"]: each for each in made["comparisons"]}
    assert [by_name[name]["verdict"]["kind"] for name in "BC"] == ["better", "worse"]
    assert made["verdict"]["sentence"] == "B is better than A." and made["overall"]["p"] < 1e-6
    assert "C is" not in made["verdict"]["sentence"] and "stop C" in by_name["C"]["verdict"]["sentence"]
    assert all(each["adjusted_p"] >= each["primary"]["p"] for each in made["comparisons"])
    assert report.as_pdf(made)[:4] == b"%PDF"


def test_what_users_were_like_before_narrows_the_interval(wb: Workbench, trainer: auth.User) -> None:
    first = started(wb, trainer)
    log(wb, first, rows(first, 900, seed=5))
    assert report.make(wb, first.id)["comparisons"][0]["cuped"] is None
    report.stop(wb, trainer, first.id, "enough")
    plan = PLAN | {"versions": list(first.plan.versions)}
    trial = trials.start(wb, trainer, trials.create(wb, trainer, first.theme_id, "Again", plan).id)
    log(wb, trial, rows(trial, 1_200, gain=0.3, seed=5))  # 300 of them are new
    made = report.make(wb, trial.id)
    [each] = made["comparisons"]
    known, raw = each["cuped"], each["primary"]
    assert known["known"] == 900 and 0.2 < known["kept"] < 0.9
    assert known["estimate"]["high"] - known["estimate"]["low"] < raw["high"] - raw["low"]
    assert abs(known["estimate"]["est"] - raw["est"]) < 4 * raw["se"]
    row = next(row for row in figures.rows(each, made["test"]) if row.key == "cuped")
    assert "900 users are known from earlier tests" in row.meaning


def test_a_broken_test_shows_no_comparison_anywhere(wb_duckdb: Workbench, trainer: auth.User) -> None:
    wb = wb_duckdb
    trial = started(wb, trainer, segments=["country"])
    rule = trial.rule()
    given = [
        row for n, row in enumerate(rows(trial, 2_000, gain=0.6)) if rule.arm(row["unit"]) == "A" or n % 9 < 4
    ]
    for n, row in enumerate(given):
        row |= {"segments": {"country": "KR"}, "status": "error" if n % 9 == 0 else "ok", "query": "q"}
    log(wb, trial, given)
    log(wb, trial, [row for row in rows(trial, 900, seed=3) if rule.arm(row["unit"]) == "A"])
    made = report.make(wb, trial.id, conversations=True)
    assert made["verdict"]["kind"] == "broken" and made["comparisons"] == [] and made["overall"] is None
    told = {path for path, _ in report.leaves(made)}
    secret = re.compile("mean|sd|rating|latency|stars|error_rate|cost$|est|lift|low|high|conversations")
    assert not [path for path in told if secret.search(path.rpartition(".")[2] if "variants" in path else "")]
    assert not [path for path in told if path.startswith(("comparisons", "conversations"))]
    assert figures.variants(made)[0] == ["Variant", "Model", "Users", "Answers", "Never rated"]
    for per in ("hour", "day"):
        watched = monitoring.now(wb, trial.id, per)  # type: ignore[arg-type]
        assert watched["error_rate"] == watched["response_time_p95"] == {} and watched["series"]
        assert all(
            point.keys() == {"at", "variant", "answers", "answers_a_minute"} for point in watched["series"]
        )
        [alarm] = watched["alarms"]
        assert alarm.startswith("The test is broken.")
    for text in (report.as_html(made), PdfReader(io.BytesIO(report.as_pdf(made))).pages[0].extract_text()):
        assert "valid at any look" not in text and "The test is broken." in text


def test_a_watched_test_has_its_counts_and_alarms(wb: Workbench, trainer: auth.User) -> None:
    trial = aged(wb, started(wb, trainer))
    rule = trial.rule()
    began = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    now = began + timedelta(minutes=20)
    given = rows(trial, 800, gain=0.2)
    for n, row in enumerate(given):
        hour = n % 24
        row["at"] = (began - timedelta(hours=hour)).isoformat()
        # B in the last two full hours, A in the running one.
        bad = hour in (1, 2) if rule.arm(row["unit"]) == "B" else hour == 0
        row |= {"status": "error" if bad else "ok", "response_time_ms": 900.0 if bad else 100.0}
    log(wb, trial, given)
    found = monitoring.now(wb, trial.id, at=now)
    assert sum(point["answers"] for point in found["series"]) == sum(found["interactions"].values()) == 1_600
    points = {(point["at"][:13], point["variant"]): point for point in found["series"]}
    latest = points[f"{began - timedelta(hours=1):%Y-%m-%dT%H}", "B"]
    assert latest["error_rate"] > 0 and latest["response_time_p95"] == pytest.approx(900)
    told = " ".join(found["alarms"])
    assert "B fails more often than it did" in told and "A fails" not in told and "logged late" in told
    assert "A fails" in " ".join(monitoring.now(wb, trial.id, at=now + timedelta(hours=1))["alarms"])
    later = monitoring.now(wb, trial.id, "day", at=now + timedelta(days=9))
    told = " ".join(later["alarms"])
    assert "Nothing was logged since" in told and "The planned end was" in told
    assert {point["variant"] for point in later["series"]} == {"A", "B"}


def test_a_guardrail_of_one_variant_stops_a_test_of_three(wb_duckdb: Workbench, trainer: auth.User) -> None:
    wb = wb_duckdb
    trial = three(wb, trainer, guardrails=[{"metric": "error_rate", "margin": 0.5}])
    given = rows(trial, 1_800)
    for n, row in enumerate(given):
        row["status"] = "error" if n % (3 if trial.rule().arm(row["unit"]) == "C" else 25) == 0 else "ok"
    log(wb, trial, given)
    assert report.watch(wb) == [trial.id]
    ended = trials.get(wb, trial.id)
    assert ended.outcome is not None and ended.outcome["reason"].startswith("C breaks a limit")


def test_a_champion_without_errors_or_costs_is_guarded_as_well(
    wb_duckdb: Workbench, trainer: auth.User
) -> None:
    wb = wb_duckdb
    guards = [{"metric": "error_rate", "margin": 10}]
    trial = started(wb, trainer, guardrails=guards)
    given = rows(trial, 600, gain=0.8, each=1)
    for n, row in enumerate(given):
        row["status"] = "error" if trial.rule().arm(row["unit"]) == "B" and n % 2 else "ok"
    log(wb, trial, given)
    assert report.watch(wb) == [trial.id]
    made = json.loads(json.dumps(report.make(wb, trial.id), allow_nan=False))  # from what was sealed
    said = made["verdict"]["reason"]
    assert "error rate is 48.6 of 100" in said and "A's is zero" in said and "0 with A" in said
    [row] = [
        row for row in figures.rows(made["comparisons"][0], made["test"]) if row.key.startswith("guards")
    ]
    assert row.value.startswith("A's is zero · broken")

    # A small A without an error by luck is not a perfect one.
    rare = started(wb, trainer, guardrails=[{"metric": "cost", "margin": 0.1}, *guards], weights=[0.1, 0.9])
    given = rows(rare, 2_000, gain=0.8, each=1, cost=0.0)
    failed = [row for row in given if rare.rule().arm(row["unit"]) == "B"][::100]
    for row in failed:
        row |= {"status": "error", "cost": 1.0}
    log(wb, rare, given)
    assert len(failed) > 15 and report.watch(wb) == []
    [against] = analysis.results(wb, rare).against
    assert all(guard.worse == math.inf and not guard.safe for guard in against.guards)


def test_a_test_that_cannot_be_looked_at_leaves_the_others_watched(
    wb_duckdb: Workbench, trainer: auth.User, caplog: pytest.LogCaptureFixture
) -> None:
    wb = wb_duckdb
    both = [started(wb, trainer, guardrails=[{"metric": "error_rate", "margin": 0.5}]) for _ in range(2)]
    for trial in both:
        given = rows(trial, 1_200)
        for n, row in enumerate(given):
            row["status"] = "error" if n % (3 if trial.rule().arm(row["unit"]) == "B" else 25) == 0 else "ok"
        log(wb, trial, given)
    broken = trials.running(wb)[0].id  # the one that is looked at first
    bent = ab_phases.update().where(ab_phases.c.test_id == broken).values(weights=[1.0])
    wb.db.write(lambda connection: connection.execute(bent) and None)
    assert report.watch(wb) == [trial.id for trial in both if trial.id != broken]
    assert f"A/B test {broken}" in caplog.text


FIELDS: dict[str, Any] = {
    "est": 0.1, "low": 0.05, "high": 0.2, "superiority": 0.56, "loss_ship": 0.001, "loss_keep": 0.1,
    "chance": 0.9, "value_a": 0.5, "value_b": 0.6, "users": 900, "unsafe": [], "more": 500, "days": 3,
    "metric": "error_rate", "worse": 0.5, "margin": 0.1, "expected": [5, 5], "both": 3, "seen": 9, "lost": 4, "of": 9,
}  # fmt: skip


@pytest.mark.parametrize("language", ["en", "ja", "ko"])
@pytest.mark.parametrize("primary", METRICS)
def test_every_verdict_is_whole_sentences_in_every_language(primary: str, language: str) -> None:
    cases = [("better", "interval"), ("worse", "interval"), ("worse", "guardrail"), ("same", "within")]
    cases += [
        ("unclear", "few"),
        ("unclear", "wide"),
        ("broken", "both"),
        ("broken", "lost"),
        ("broken", "mismatch"),
    ]
    i18n.use(language)
    try:
        for kind, reason in cases:
            fields = FIELDS | ({"users": [4, 9]} if reason == "mismatch" else {})
            said = words.say(Verdict(kind, reason, "B", fields), primary)
            for text in (said.sentence, said.reason, said.cost, said.still):
                assert text and text.strip()[-1] in ".。", (kind, reason, text)
                assert not any(
                    name for _, name, _, _ in string.Formatter().parse(text) if name is not None
                ), text
            few = words.say(Verdict(kind, reason, "B", fields | {"unsafe": ["cost"], "days": None}), primary)
            assert few.sentence == said.sentence
    finally:
        i18n.use("en")


def test_a_verdict_counts_in_natural_frequencies() -> None:
    said = {
        primary: words.say(Verdict(verdict.BETTER, "interval", "B", FIELDS), primary).reason
        for primary in METRICS
    }
    assert "Of 100 pairs of users, the one with B gave more stars 56 times" in said["rating"]
    assert "Of 100 users, 60 are satisfied with B and 50 with A." in said["satisfied"]
    assert "Of 1,000 answers, 600 fail with B and 500 with A." in said["error_rate"]


def test_welch_anova_is_that_of_statsmodels() -> None:
    from statsmodels.stats.oneway import anova_oneway

    from core.ab import means
    from core.ab.moments import Moments

    rng = np.random.default_rng(7)
    arms = [rng.normal(m, s, n) for m, s, n in ((3, 1, 40), (3.3, 2, 90), (3.1, 0.5, 25))]
    expected = anova_oneway(arms, use_var="unequal")
    f, p = means.welch_anova([Moments.of(arm) for arm in arms])
    assert (f, p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)
