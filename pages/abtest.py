"""One A/B test: its verdict in one sentence, the figures behind it, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core import auth, production, registry, themes, workbench
from core.ab import report, trials, words
from core.ab.trials import Trial
from core.errors import InvalidInput, NotFound
from core.i18n import gettext as _
from pages.widgets import frame, steps
from pages.widgets.abtest import card, conversations, joining, live, result

try:
    number = frame.number_from_url("test")
    if number is None:
        raise NotFound("This address names no A/B test; choose one from the list.")
    first = trials.get(workbench.current(), number)
    theme = themes.get(workbench.current(), first.theme_id)
except NotFound as error:
    frame.missing(error)
    raise AssertionError("unreachable") from error
wb, me = frame.open_page(
    title=first.name, crumbs=[*frame.of_theme(theme), (_("A/B tests"), "ab.py", {"theme": theme.id})]
)
may_edit = me.may(auth.TRAINER)
steps.draw(wb, me, theme, "ab")

NOBODY = "-"
EVERY = 5.0
"""Seconds between two looks at a running test."""
DUEL = frame.PAGES / "duel.py"


def draft(trial: Trial) -> None:
    """What is planned, what the start will do, and the button."""
    plan = trial.plan
    versions = registry.by_id(wb, set(plan.versions))
    st.markdown(
        _(
            "The **{metric}** decides. A difference below {minimum} does not count. About {users} users are planned, "
            "{days} days at most."
        ).format(
            metric=words.metric_name(plan.primary),
            minimum=words.amount(plan.primary, plan.minimum),
            users=f"{plan.planned_users:,}",
            days=plan.days,
        )
    )
    st.dataframe(
        [
            {
                _("Variant"): name,
                _("Model"): _("version {n}").format(n=versions[version].version),
                _("Share of the users"): f"{weight * plan.coverage * 100:.3g} %",
            }
            for name, version, weight in zip(plan.names, plan.versions, plan.weights, strict=True)
        ],
        hide_index=True,
        key="draft-variants",
    )
    for guard in plan.guardrails:
        st.caption(
            _(
                "Stops by itself when the {metric} of a variant is proven more than {margin} worse than A's."
            ).format(metric=words.metric_name(guard.metric), margin=f"{guard.margin * 100:g} %")
        )
    joining.deploy(wb, me, trial)
    if may_edit:
        if st.button(
            _("Start the test"), type="primary", key="start-test", help=_("Seals the plan and lets users in.")
        ):
            with frame.refusals():
                trials.start(wb, me, trial.id)
                st.rerun()
        st.caption(
            _("The plan is sealed at the start: nobody can bend the question to the answer afterwards.")
        )


@frame.dialog(_("End the test"), on_dismiss="rerun")
def end_test(trial: Trial) -> None:
    winner = st.radio(
        _("What follows from it"),
        [*trial.plan.names, NOBODY],
        index=None,
        format_func=lambda name: (
            _("Stop without a winner") if name == NOBODY else _("{name} wins").format(name=name)
        ),
        key="winner",
        help=_("The verdict of this moment is kept with your decision."),
    )
    reason = st.text_area(
        _("Why"), max_chars=trials.MAX_REASON, key="reason", help=_("For whoever asks in a year.")
    )
    promote = winner not in (None, NOBODY, trial.plan.names[0]) and st.checkbox(
        _("Put it into production"),
        key="promote",
        help=_(
            "If its gate passes: the sealed verdict, and no worse on the test images. The former version is kept."
        ),
    )
    if st.button(_("End the test"), type="primary", key="yes-end"):
        with frame.refusals():
            if winner is None:
                raise InvalidInput("Choose what follows: a winner, or none.")
            if winner == NOBODY:
                report.stop(wb, me, trial.id, reason)
                st.rerun()
            ended = report.conclude(wb, me, trial.id, winner, reason)
            refusal = production.promote_winner(wb, me, ended).refusal if promote else None
            if refusal is None:
                st.rerun()
            # The test has ended all the same; the person should read why the stage did not change.
            st.warning(_("The test has ended, but the version was not promoted."))
            frame.refuse(refusal)
            frame.link(_("See its gate under Models"), "models.py", {"theme": trial.theme_id})


@frame.dialog(_("Let more users in"))
def ramp(trial: Trial) -> None:
    assert trial.phase is not None
    now = round(trial.phase.coverage * 100)
    share = st.slider(
        _("Users who take part (%)"),
        min(now, 99),
        100,
        now,
        key="ramp-to",
        help=_("Nobody changes the variant by that."),
    )
    if st.button(_("Let them in"), type="primary", key="yes-ramp"):
        with frame.refusals():
            trials.update(wb, me, trial.id, coverage=share / 100)
            st.rerun()


def actions(trial: Trial) -> None:
    """What a person can do with the test, in one line above what it says."""
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="test-actions"):
        if may_edit and trial.status == trials.RUNNING:
            if st.button(_("End the test"), key="end-test", help=_("Name the winner, or stop without one.")):
                end_test(trial)
            if trial.phase is not None and trial.phase.coverage < 1:
                text = _("Let more users in")
                share = _("Now {n} % take part.").format(n=round(trial.phase.coverage * 100))
                if st.button(text, key="ramp", help=share):
                    ramp(trial)
        with st.popover(_("Report"), key="report", help=_("The same figures as a file, to keep or to send.")):
            for format in ("pdf", "html", "csv", "json"):
                st.link_button(
                    _("Report as {format}").format(format=format.upper()),
                    f"/api/v1/admin/ab-tests/{trial.id}/report?format={format}",
                )
        if DUEL.exists():
            frame.link(
                _("Duel"), "duel.py", {"test": trial.id}, help=_("Both answer the same; people judge blind.")
            )


def chosen(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The comparison that is shown: the only one, or the one picked."""
    by_name = {each["variant"]: each for each in found["comparisons"]}
    if len(by_name) == 1:
        return next(iter(by_name.values()))
    name = st.segmented_control(
        _("A compared with"),
        list(by_name),
        default=found["verdict"]["variant"] if found["verdict"]["variant"] in by_name else None,
        required=True,
        key="compared",
        help=_("Every variant is compared with A; the verdict above is about all of them."),
    )
    each = by_name.get(str(name)) or next(iter(by_name.values()))
    if each["variant"] != found["verdict"]["variant"]:
        card.of_comparison(each)
    return each


def sections(trial: Trial, found: Mapping[str, Any]) -> None:
    """What stands behind the verdict; only the open one is drawn."""
    hidden = not found["comparisons"]
    each = None if hidden else chosen(found)
    parts = {
        _("Result"): lambda: result.comparison(found, each) if each else None,
        _("Variants"): lambda: result.variants(found),
        _("Segments"): lambda: result.segments(each) if each else None,
        _("Trust"): lambda: result.health(found),
        _("Live"): lambda: live.draw(wb, trial.id),
        _("Conversations"): lambda: conversations.draw(wb, me, trial),
        _("Taking part"): lambda: joining.draw(trial),
    }
    if hidden:
        # Whoever could see the figures of a broken test would believe them.
        del parts[_("Result")], parts[_("Segments")]
        parts = {_("Trust"): parts.pop(_("Trust")), **parts}
    for tab, draw in zip(
        st.tabs(list(parts), key="hidden-sections" if hidden else "sections", on_change="rerun"),
        parts.values(),
        strict=True,
    ):
        if tab.open:
            with tab:
                draw()


@frame.fragment(run_every=EVERY if first.status == trials.RUNNING else None)
def looked_at() -> None:
    trial = trials.get(wb, first.id)
    if trial.status != first.status:
        st.rerun()
    found = report.make(wb, trial.id, share=True)
    card.draw(found)
    if trial.status == trials.RUNNING and not any(arm["interactions"] for arm in found["variants"]):
        joining.first_steps(wb, me, trial)
    else:
        sections(trial, found)


if first.status == trials.DRAFT:
    draft(first)
else:
    actions(first)
    looked_at()
