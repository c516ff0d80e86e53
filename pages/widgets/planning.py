"""The form of an A/B test's plan: what is compared, what decides, how long, and what must not get worse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import themes
from core.ab import past, planner, trials, words
from core.ab.metrics import GUARDRAILS, METRICS
from core.ab.plan import MAX_ARMS, NAMES, Plan, problems
from core.errors import InvalidInput, VeritrainError
from core.i18n import gettext as _
from core.version_lists import Choice
from core.workbench import Workbench
from pages.widgets import frame, planning_advice

SMALLEST = {"rating": 0.2, "satisfied": 0.05, "error_rate": 0.02, "response_time_ms": 50.0, "cost": 0.1}
"""A first proposal for the smallest difference that matters."""
MARGIN = 0.1
"""A first proposal for what a guardrail allows, as a share of A's value."""
DAYS = 14
"""Where nobody knows how many users come a day."""
REMEMBERED = 600
"""Seconds for which a theme's past is not asked again."""


@dataclass
class Row:
    """A variant in the form: the version and the share (%) its fields show first.

    A share that a button sets is a new field, `dealt` counts them: see `_follow`.
    """

    number: int
    version: int
    share: float
    dealt: int = 0


@dataclass
class Form:
    """What was entered, and below each field a place for what is wrong with it."""

    name: str
    given: dict[str, Any]
    places: Mapping[str, DeltaGenerator]
    past: planner.Past

    def accepted(self) -> bool:
        """Whether all of it can be a plan; what is wrong is said below its field."""
        found: list[tuple[str, VeritrainError]] = [*problems(self.given)]
        try:
            trials.check_name(self.name)
        except VeritrainError as refused:
            found.append(("name", refused))
        total = 100 * math.fsum(self.given["weights"])
        for field, error in found:
            if field == "weights" and abs(total - 100) > 1e-7:  # here they are typed in percent
                error = InvalidInput(
                    "The shares add up to {total:g} %; make it 100 %, or press “Share equally”.", total=total
                )
            place = self.places.get(field) or self.places[field.split(".")[0]]
            place.error(frame.escape(error.text(_)))
        return not found


def draw(
    wb: Workbench, theme: themes.Theme, versions: Sequence[Choice], *, key: str, name: str, plan: Plan | None
) -> Form:
    """Draw the form, filled with `plan` where there is one; `key` keeps the forms of different plans apart."""
    places: dict[str, DeltaGenerator] = {}
    entered = st.text_input(
        _("Name"), name, max_chars=trials.MAX_NAME, key=f"{key}-name", help=_("What is asked.")
    )
    places["name"] = st.container()
    given = _variants(versions, key, plan, places) | _decides(key, plan, places)
    size = st.container(gap="small")
    given |= _guards(key, plan, places) | _segments(key, plan, places)
    given |= _advanced(wb, theme, key, plan, places)
    with size:
        with st.spinner(_("Reading this theme's earlier tests …")):
            before = _past(wb, wb.settings.database_url, theme.id)
        given |= _size(key, plan, given, before, places)
    return Form(entered, given, places, before)


@st.cache_data(ttl=REMEMBERED, max_entries=32, show_spinner=False)
def _past(_wb: Workbench, _database: str, theme_id: int) -> planner.Past:
    return past.of_theme(_wb, theme_id)


def _heading(text: str, help: str) -> None:
    st.markdown(f"**{text}**", help=help)


def _variants(
    versions: Sequence[Choice], key: str, plan: Plan | None, places: dict[str, DeltaGenerator]
) -> dict[str, Any]:
    """A model and a share a variant; rows may be added and taken away."""
    by_id = {version.id: version for version in versions}
    ids = list(by_id)
    first = list(plan.versions) if plan else [ids[1], ids[0]]
    shares = [_percent(weight) for weight in plan.weights] if plan else _equal(2)
    rows: list[Row] = st.session_state.setdefault(
        f"{key}-rows",
        [Row(n, v if v in by_id else ids[0], w) for n, (v, w) in enumerate(zip(first, shares, strict=True))],
    )

    def called(version_id: int) -> str:
        accuracy = by_id[version_id].accuracy
        shown = f" · {accuracy * 100:.1f} %" if accuracy is not None else ""
        return by_id[version_id].title(_("version {n}")) + shown

    def equally() -> None:
        for row, share in zip(rows, _equal(len(rows)), strict=True):
            row.share, row.dealt = share, row.dealt + 1

    def add() -> None:
        used = [st.session_state.get(f"{key}-version-{row.number}") for row in rows]
        version = next((each for each in ids if each not in used), ids[0])
        rows.append(Row(max(row.number for row in rows) + 1, version, 0.0))
        equally()

    def remove(row: Row) -> None:
        rows.remove(row)
        equally()

    _heading(
        _("What is compared"),
        _(
            "Each user sees one variant, always the same. A is what users get today; every other is compared with it."
        ),
    )
    chosen, weights = [], []
    for index, row in enumerate(rows):
        left, middle, right = st.columns([5, 3, 1], vertical_alignment="bottom", gap="small")
        text = (
            _("A, the present model") if index == 0 else _("{name}, a challenger").format(name=NAMES[index])
        )
        chosen.append(
            left.selectbox(
                text,
                ids,
                ids.index(row.version),
                format_func=called,
                key=f"{key}-version-{row.number}",
                help=_("What users get today.") if index == 0 else _("What might take its place."),
            )
        )
        weights.append(
            middle.number_input(
                _("Share (%)"),
                value=row.share,
                step=1.0,
                format="%g",
                key=f"{key}-weight-{row.number}-{row.dealt}",
                help=_("Of the users who take part. Equal shares give the quickest answer."),
            )
        )
        if index >= 2:
            right.button(
                "",
                icon=":material/close:",
                key=f"{key}-remove-{row.number}",
                on_click=remove,
                args=(row,),
                help=_("Take {name} out; the others then share equally.").format(name=NAMES[index]),
            )
        places[f"versions.{index}"] = st.container()
    places["versions"] = places["weights"] = st.container()
    total = sum(weights)
    with st.container(horizontal=True, vertical_alignment="center", key=f"{key}-shares"):
        st.button(
            _("Add a variant"),
            icon=":material/add:",
            key=f"{key}-add",
            on_click=add,
            disabled=len(rows) >= min(MAX_ARMS, len(ids)),
            help=_("Up to {n}, each another version. With every variant more, more users are needed.").format(
                n=MAX_ARMS
            ),
        )
        st.button(
            _("Share equally"), key=f"{key}-equally", on_click=equally, help=_("The same share for each.")
        )
        st.caption(_("The shares add up to {total} %.").format(total=f"{total:g}"), width="content")
    coverage = st.slider(
        _("Users who take part (%)"),
        1,
        100,
        round(plan.coverage * 100) if plan else 100,
        key=f"{key}-coverage",
        help=_("Begin small and raise it later: nobody changes the variant by that."),
    )
    places["coverage"] = st.container()
    return {
        "versions": chosen,
        "weights": [round(weight / 100, 10) for weight in weights],
        "coverage": coverage / 100,
    }


def _decides(key: str, plan: Plan | None, places: dict[str, DeltaGenerator]) -> dict[str, Any]:
    _heading(_("What decides"), _("The one number the verdict is about. It is fixed before the start."))
    left, right = st.columns(2)
    names = list(METRICS)
    with left:
        metric = st.selectbox(
            _("Metric"),
            names,
            names.index(plan.primary) if plan else 0,
            format_func=words.metric_name,
            key=f"{key}-metric",
            help=_("The one number the verdict is about. It is fixed before the start."),
        )
        st.caption(
            _("Higher is better.") if METRICS[metric].higher_is_better else _("Lower is better."),
        )
        places["primary"] = st.container()
    with right:
        scale = _scale(metric)
        default = plan.minimum if plan and plan.primary == metric else SMALLEST[metric]
        minimum = st.number_input(
            _("Smallest difference that matters ({unit})").format(unit=_unit(metric)),
            value=round(default * scale, 10),
            format="%g",
            step=SMALLEST[metric] * scale / 4,
            key=f"{key}-minimum-{metric}",
            help=_("Less than this would change nothing for you; then the two count as the same."),
        )
        places["minimum"] = st.container()
    return {"primary": metric, "minimum": round(minimum / scale, 12)}


def _size(
    key: str,
    plan: Plan | None,
    given: Mapping[str, Any],
    before: planner.Past,
    places: dict[str, DeltaGenerator],
) -> dict[str, Any]:
    """What the planner says, and what the person makes of it: the fields follow the advice until one is typed in."""
    _heading(
        _("How many users, how long"),
        _("Where ratings decide only users who rate are counted: who never rates says nothing about them."),
    )
    advice = planning_advice.draw(given, before)
    left, right = st.columns(2)
    with left:
        users = st.number_input(
            _("Planned users"),
            step=100,
            help=_("All variants together. You may look at any time; here the answer is sharpest."),
            **_follow(
                f"{key}-users", advice.users if advice else 2_000, plan.planned_users if plan else None
            ),
        )
        places["planned_users"] = st.container()
    with right:
        proposed = min(365, advice.days) if advice and advice.days else DAYS
        days = st.number_input(
            _("At most days"),
            step=1,
            help=_("When you want to decide at the latest."),
            **_follow(f"{key}-days", proposed, plan.days if plan else None),
        )
        places["days"] = st.container()
        if 1 <= days <= 365:
            end = datetime.now(UTC) + timedelta(days=days)
            st.caption(_("Started today, it ends by {day}.").format(day=f"{end:%Y-%m-%d}"))
    planning_advice.chart(given, before, users, key=f"{key}-chart")
    return {"planned_users": int(users), "days": int(days)}


def _guards(key: str, plan: Plan | None, places: dict[str, DeltaGenerator]) -> dict[str, Any]:
    _heading(
        _("What must not get worse"),
        _("When a variant is proven worse than A by more than its margin, the test stops by itself."),
    )
    known = {each.metric: each.margin for each in plan.guardrails} if plan else {}
    found = []
    for name in GUARDRAILS:
        left, right = st.columns([5, 3], vertical_alignment="center")
        text = words.metric_name(name)
        if left.checkbox(
            text[:1].upper() + text[1:],
            name in known,
            key=f"{key}-guard-{name}",
            help=_("Watched all the time; only what is proven stops the test."),
        ):
            margin = right.number_input(
                _("At most worse by (%)"),
                value=_percent(known.get(name, MARGIN)),
                step=1.0,
                format="%g",
                key=f"{key}-margin-{name}",
                help=_("How much worse than A is still accepted."),
            )
            found.append({"metric": name, "margin": round(margin / 100, 10)})
    places["guardrails"] = st.container()
    return {"guardrails": found}


def _segments(key: str, plan: Plan | None, places: dict[str, DeltaGenerator]) -> dict[str, Any]:
    text = st.text_input(
        _("Segments"),
        ", ".join(plan.segments) if plan else "",
        key=f"{key}-segments",
        placeholder=_("country, device"),
        help=_("Names of fields, such as country, with commas between. The result is shown by them, too."),
    )
    places["segments"] = st.container()
    return {"segments": [part.strip() for part in text.split(",") if part.strip()]}


def _advanced(
    wb: Workbench, theme: themes.Theme, key: str, plan: Plan | None, places: dict[str, DeltaGenerator]
) -> dict[str, Any]:
    own = plan.exclusion if plan else None
    changed = plan is not None and (plan.alpha != 0.05 or plan.holdout > 0 or own is not None)
    with st.expander(_("More: risk, users never touched, tests that share no users"), expanded=changed):
        left, right = st.columns(2)
        with left:
            alpha = st.number_input(
                _("Risk of a false winner (%)"),
                value=_percent(plan.alpha) if plan else 5.0,
                step=1.0,
                format="%g",
                key=f"{key}-alpha",
                help=_(
                    "So many of 100 tests without any difference may call a winner. Less risk needs more users."
                ),
            )
            places["alpha"] = st.container()
        with right:
            holdout = st.number_input(
                _("Users never touched (%)"),
                value=_percent(plan.holdout) if plan else 0.0,
                step=1.0,
                format="%g",
                key=f"{key}-holdout",
                help=_(
                    "Always the same users of this theme, whatever the test. They show later what all tests "
                    "together brought."
                ),
            )
            places["holdout"] = st.container()
        with left:
            group = st.text_input(
                _("Exclusion group"),
                own.group if own else "",
                key=f"{key}-group",
                max_chars=64,
                help=_(
                    "Running tests of this theme with the same group name never share a user. Empty: no group."
                ),
            ).strip()
            places["exclusion"] = st.container()
        with right:
            part = st.number_input(
                _("Users kept for this test (%)"),
                value=_percent(own.part) if own else 50.0,
                step=5.0,
                format="%g",
                disabled=not group,
                key=f"{key}-part",
                help=_("Of all users of the theme. The others are left to the group's other tests."),
            )
            if group:
                free = trials.room(wb, theme.id, group)
                st.caption(_("Still free in this group: {n} %.").format(n=f"{free * 100:.0f}"))
                if part / 100 > free:
                    st.warning(
                        _("That is more than is free: the test can start when another of the group ends.")
                    )
    exclusion = {"group": group, "part": round(part / 100, 10)} if group else None
    return {"alpha": round(alpha / 100, 10), "holdout": round(holdout / 100, 10), "exclusion": exclusion}


def _follow(key: str, proposed: int, planned: int | None) -> dict[str, Any]:
    """Keep a field at what is proposed until a person types something else; gives back its key and first value.

    What is proposed anew is a new field: one whose value is set from outside can come
    back as its default, 0, where a quick next change stops the drawing half-way.
    """
    first, last = st.session_state.get(f"{key}-follows", (proposed if planned is None else planned, proposed))
    if first == last != proposed and st.session_state.get(f"{key}-{first}", first) == first:
        first = proposed
    st.session_state[f"{key}-follows"] = (first, proposed)
    return {"key": f"{key}-{first}", "value": first}


def _equal(n: int) -> list[float]:
    """Shares in percent, two digits, that add up to 100: what does not divide goes to A."""
    each = 10_000 // n
    return [(10_000 - each * (n - 1)) / 100, *[each / 100] * (n - 1)]


def _percent(share: float) -> float:
    return round(share * 100, 4)


def _scale(metric: str) -> float:
    return 100.0 if METRICS[metric].unit == "share" else 1.0


def _unit(metric: str) -> str:
    return {"stars": _("stars"), "share": _("of 100"), "ms": _("ms")}.get(METRICS[metric].unit, _("cost"))
