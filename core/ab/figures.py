"""Pure. The figures of a report as rows that people read: what it is, its value, what that means.

The screen, the HTML page and the PDF all draw these rows, so they cannot say different things.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.ab import many, words
from core.i18n import gettext as _

Plain = Mapping[str, Any]
"""A report, or a part of one, as core.ab.report makes it."""


@dataclass(frozen=True)
class Row:
    """`key` is the figure's place in the comparison, for tests and translations alike."""

    key: str
    label: str
    value: str
    meaning: str


def variants(report: Plain) -> tuple[list[str], list[list[str]]]:
    """(head, rows) of the table of variants; without the numbers where the test is broken."""
    metric = report["test"]["metric"]
    head = [_("Variant"), _("Model"), _("Users"), _("Answers"), _("Never rated")]
    if report["comparisons"]:
        name = report["test"]["metric_name"]
        head += [
            name[:1].upper() + name[1:],
            _("Interval"),
            _("Spread a user"),
            _("Errors"),
            _("Cost of an answer"),
        ]
    rows = []
    for arm in report["variants"]:
        row = [
            arm["name"],
            arm["model"],
            f"{arm['users']:,}",
            f"{arm['interactions']:,}",
            f"{arm['users_who_never_rated']:,}",
        ]
        if report["comparisons"]:
            row += [
                words.amount(metric, number(arm["mean"])),
                between(metric, arm["low"], arm["high"]),
                words.amount(metric, number(arm["sd"])),
                words.amount("error_rate", number(arm["error_rate"])),
                words.amount("cost", number(arm["cost"])),
            ]
        rows.append(row)
    return head, rows


def latencies(report: Plain) -> tuple[list[str], list[list[str]]]:
    """(head, rows) of the response times by variant; no rows where there are none to show."""
    head = [_("Variant"), *(_("{n} of 100 below").format(n=n) for n in (50, 90, 95, 99))]
    rows = [
        [arm["name"], *(words.amount("response_time_ms", number(value)) for value in arm["latency"])]
        for arm in report["variants"]
        if arm.get("latency")
    ]
    return head, rows


def rows(each: Plain, test: Plain) -> list[Row]:
    """Everything one comparison has to say."""
    level = many.of_phase(test["alpha"], test["phase"])
    return list(_rows(each, test["metric"], {**test, "alpha": level}))


def _rows(each: Plain, metric: str, test: Plain) -> Iterator[Row]:
    b, primary = each["variant"], each["primary"]
    yield Row(
        "primary",
        _("Difference, valid at any look"),
        span(metric, primary, "low", "high"),
        _("The headline: right however often you look, and wider for that."),
    )
    lift = each["lift"]
    yield Row(
        "lift",
        _("In percent of A, valid at any look"),
        percent(lift, "low", "high") if lift else "–",
        _("The same difference for talking about it; the verdict goes by the difference itself.")
        if lift
        else _("A's value is too near zero to speak of percent."),
    )
    yield Row(
        "adjusted_p",
        _("Chance of such data if nothing differed"),
        chance(number(each["adjusted_p"])),
        _("All looks and all variants are counted in (Holm); below {alpha} it is proof.").format(
            alpha=chance(test["alpha"])
        ),
    )
    yield Row(
        "fixed",
        _("Difference, counted once at the planned end"),
        span(metric, primary, "fixed_low", "fixed_high") + p_value(primary["fixed_p"]),
        _(
            "Welch's test (for ratios the delta method): narrower, but right only if nobody decides earlier by it."
        ),
    )
    if cuped := each["cuped"]:
        yield Row(
            "cuped",
            _("Difference, with what users were like before taken out"),
            span(metric, cuped["estimate"], "low", "high"),
            _("CUPED: {n} users are known from earlier tests; {kept} of the spread remains.").format(
                n=f"{cuped['known']:,}", kept=f"{cuped['kept'] * 100:.0f} %"
            ),
        )
    for guard in each["guards"]:
        yield _guard(guard)
    if better := each["superiority"]:
        yield Row(
            "superiority",
            _("{b} rated higher").format(b=b),
            _("{n} times in 100 ({low} to {high})").format(
                n=round(better["superiority"] * 100),
                low=round(better["low"] * 100),
                high=round(better["high"] * 100),
            )
            + p_value(better["p"]),
            _("One user of each, drawn by chance; ties count half (Brunner–Munzel)."),
        )
    if shares := each["shares"]:
        yield Row(
            "shares",
            _("Satisfied users (4 stars or more)"),
            _("A {a}, {b} {c} of 100; difference {low} to {high}").format(
                a=f"{shares['a'] * 100:.1f}",
                b=b,
                c=f"{shares['b'] * 100:.1f}",
                low=f"{shares['low'] * 100:+.1f}",
                high=f"{shares['high'] * 100:+.1f}",
            )
            + p_value(shares["p"]),
            _("Newcombe's interval; p by Fisher's exact test, for the counts are small.")
            if shares["exact"]
            else _("Newcombe's interval; p by chi-square. For one look at the planned end."),
        )
    if p95 := each["p95"]:
        yield Row(
            "p95",
            _("Response time that 95 of 100 answers stay below: difference"),
            span("response_time_ms", p95, "low", "high"),
            _("How much longer the slow answers take; valid at any look."),
        )
    if each["effect_size"] is not None:
        yield Row(
            "effect_size",
            _("Effect size"),
            f"{each['effect_size']:+.2f}",
            _("The difference in units of the spread between users: 0.2 is small, 0.5 medium, 0.8 large."),
        )
    if equal := each["equivalence"]:
        yield Row(
            "equivalence",
            _("Practically the same?"),
            (_("yes") if equal["p"] < test["alpha"] else _("not shown"))
            + f" · {between(metric, equal['low'], equal['high'], signed=True)}{p_value(equal['p'])}",
            _(
                "Two one-sided tests: is the difference smaller than {minimum} either way? For the planned end."
            ).format(minimum=words.amount(metric, test["smallest_difference_that_matters"])),
        )
    yield Row(
        "chance_to_win",
        _("Chance that {b} is the better one").format(b=b),
        chance(number(each["chance_to_win"])),
        _("A second view (Bayes, no prior opinion); not a proof."),
    )
    yield Row(
        "loss",
        _("Expected loss of a decision now"),
        _("{ship} with {b}, {keep} with A").format(
            ship=words.loss(metric, number(each["loss_ship"])),
            b=b,
            keep=words.loss(metric, number(each["loss_keep"])),
        ),
        _("What each choice costs on average, the chance of being wrong counted in (Bayes)."),
    )
    if novelty := each["novelty"]:
        yield _novelty(novelty, metric, test)
    if silence := each["silence"]:
        yield _silence(silence, metric, b)


def _guard(guard: Plain) -> Row:
    state = _("broken") if guard["breached"] else _("kept") if guard["safe"] else _("open")
    worse = "–"
    if guard["worse"] is not None:
        worse = f"{guard['worse'] * 100:+.1f} %"
    elif guard["breached"]:
        worse = _("A's is zero")
    limit = _("{state}; {margin} allowed").format(state=state, margin=f"{guard['margin'] * 100:g} %")
    name = words.metric_name(guard["metric"])
    return Row(
        f"guards.{guard['metric']}",
        name[:1].upper() + name[1:],
        f"{worse} · {limit}",
        _("A limit set beforehand, in percent of A; proven to be broken, it stops the test by itself."),
    )


def _novelty(found: Plain, metric: str, test: Plain) -> Row:
    if found["p"] >= test["alpha"]:
        meaning = _("No sign that the difference wears off or grows.")
    elif abs(found["later"]) < abs(found["first"]):
        meaning = _("The difference wears off: what is new may only please for a while. Let the test run on.")
    else:
        meaning = _("The difference grows with time. Let the test run on.")
    return Row(
        "novelty",
        _("Users who came until {day}, and later").format(day=found["until"]),
        _("{first}, then {later}").format(
            first=words.amount(metric, number(found["first"]), signed=True),
            later=words.amount(metric, number(found["later"]), signed=True),
        )
        + p_value(found["p"]),
        meaning,
    )


def _silence(found: Plain, metric: str, b: str) -> Row:
    rated = _("{x} of 100 users rated A, {y} of 100 {b}").format(
        x=f"{found['rated_a'] * 100:.0f}", y=f"{found['rated_b'] * 100:.0f}", b=b
    )
    return Row("silence", _("Users who never rated"), rated, tipping(found, metric, b))


def tipping(found: Plain, metric: str, b: str) -> str:
    """How different the silent users would have to be for the verdict to turn, in words."""
    tip = number(found["tip"])
    if found["rated_b"] >= 1:
        text = _("Every user of {b} rated, so nobody is silent.").format(b=b)
    elif math.isnan(tip):
        text = _("There is no verdict yet that silent users could turn.")
    elif not found["possible"]:
        text = _(
            "Whatever the silent users of {b} had said, the verdict would stand, if those of A are like A's raters."
        ).format(b=b)
    elif tip < 0:
        text = _(
            "The verdict would turn if the silent users of {b} were {tip} below those who rated, and A's were not."
        ).format(b=b, tip=words.amount(metric, -tip))
    else:
        text = _(
            "The verdict would turn if the silent users of {b} were {tip} above those who rated, and A's were not."
        ).format(b=b, tip=words.amount(metric, tip))
    if found["rated_p"] < 0.001:
        text += " " + _("Mind that the variants are rated by different shares of their users.")
    return text


def health(of: Plain) -> list[Row]:
    """Whether the numbers may be believed, one line a question."""
    lost, asked = sum(of["unlogged"]), sum(of["exposures"])
    phases = []
    if of["phase"] > 1:
        most = of["spent"] + of["level"]  # 2 α, by core.ab.many
        text = _(
            "Each time the users are counted anew, and a winner needs stronger proof: a chance of {level} of a "
            "false one in this phase, planned were {alpha}. Over all phases so far it is at most {spent}, and it "
            "stays below {most}."
        ).format(
            level=chance(of["level"]), alpha=chance(most / 2), spent=chance(of["spent"]), most=chance(most)
        )
        phases = [Row("phase", _("How often the shares of users were changed"), str(of["phase"] - 1), text)]
    return [
        *phases,
        Row(
            "users",
            _("Users by variant"),
            " / ".join(f"{n:,}" for n in of["users"]),
            _("By their shares it should be about {expected}.").format(
                expected=" / ".join(f"{round(n):,}" for n in of["expected"])
            ),
        ),
        Row(
            "mismatch_p",
            _("Chance of such a split if nothing is wrong"),
            chance(number(of["mismatch_p"])),
            _(
                "Chi-square over all who came by the planned end. It is right for one look only, so it counts from "
                "the planned end on: below 0.1 % the test is broken then."
            ),
        ),
        Row(
            "mismatch_sequential_p",
            _("The same over all looks"),
            chance(number(of["mismatch_sequential_p"])),
            _("Stays right however often it is looked at; below 0.1 % the test counts as broken at once."),
        ),
        Row(
            "both_arms",
            _("Users seen in more than one variant"),
            _("{n} of {all}").format(n=f"{of['both_arms']:,}", all=f"{of['seen']:,}"),
            _("They are left out everywhere; above 1 % the test counts as broken."),
        ),
        Row(
            "unlogged",
            _("Answers asked for and never logged"),
            _("{n} of {all}").format(n=f"{lost:,}", all=f"{asked:,}"),
            _(
                "Noted before the model is called, so a crash leaves a trace. Only answers through Veritrain are."
            ),
        ),
        Row(
            "lag",
            _("From the answer until it is logged"),
            _("{p50}; 95 of 100 within {p95}").format(p50=seconds(of["lag_p50"]), p95=seconds(of["lag_p95"])),
            _("Long delays mean that the latest hours are not complete yet."),
        ),
        Row(
            "last_logged",
            _("Last log"),
            str(of["last_logged"] or "–")[:19].replace("T", " "),
            _("Universal time (UTC)."),
        ),
    ]


def sections(report: Plain) -> list[tuple[str, str]]:
    """(title, sentence) of each comparison: who it is about and what is to be said of it alone."""
    return [
        (
            _("{b} against A").format(b=each["variant"]),
            f"{each['verdict']['sentence']} {each['verdict']['reason']}",
        )
        for each in report["comparisons"]
    ]


def overall(found: Plain) -> str:
    """Three variants or more: whether any differ at all."""
    text = _(
        "Chance of such gaps between the variants if none differed: {p} (Welch's analysis of variance)"
    ).format(p=chance(number(found["p"])))
    if found["shares_p"] is not None:
        text += "; " + _("{p} for the shares of satisfied users (chi-square)").format(
            p=chance(found["shares_p"])
        )
    return text + "."


def segment(row: Plain) -> str:
    """What a segment is called in a drawing."""
    value = row["value"] if len(row["value"]) <= 24 else f"{row['value'][:23]}…"
    return f"{row['field']}: {value} ({row['users']:,})"


def span(metric: str, found: Plain, low: str, high: str) -> str:
    """An estimate of a difference with one of its intervals."""
    parts = [words.amount(metric, number(found[name]), signed=True) for name in ("est", low, high)]
    return _("{est} ({low} to {high})").format(est=parts[0], low=parts[1], high=parts[2])


def percent(found: Plain, low: str, high: str) -> str:
    parts = [_signed(number(found[name])) for name in ("est", low, high)]
    return _("{est} ({low} to {high})").format(est=parts[0], low=parts[1], high=parts[2])


def between(metric: str, low: Any, high: Any, *, signed: bool = False) -> str:
    ends = [words.amount(metric, number(value), signed=signed) for value in (low, high)]
    return _("{low} to {high}").format(low=ends[0], high=ends[1])


def chance(p: float) -> str:
    """A probability in percent, with three digits that count."""
    if not math.isfinite(p):
        return "–"
    if 0.9995 < p < 1:
        return _("more than 99.9 %")
    return f"{p * 100:.3g} %" if p >= 1e-6 else _("less than one in a million")


def p_value(p: Any) -> str:
    """A p-value with its sign, to stand behind a figure; empty where there is none."""
    found = number(p)
    if not math.isfinite(found):
        return ""
    return f" · p = {found * 100:.3g} %" if found >= 1e-6 else " · p < 0.0001 %"


def seconds(value: Any) -> str:
    """A time in the unit that suits it."""
    found = number(value)
    if not math.isfinite(found):
        return "–"
    if found < 120:
        return _("{n} s").format(n=f"{found:,.1f}")
    if found < 7_200:
        return _("{n} min").format(n=f"{found / 60:,.0f}")
    return _("{n} h").format(n=f"{found / 3_600:,.0f}")


def number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _signed(value: float) -> str:
    return f"{value * 100:+.1f} %" if math.isfinite(value) else "–"
