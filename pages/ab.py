"""A/B tests: those there are, and planning one."""

from __future__ import annotations

import streamlit as st

from core import auth, themes, version_lists, workbench
from core.ab import trials
from core.ab.plan import read
from core.errors import Conflict, NotFound
from core.i18n import gettext as _
from core.version_lists import Choice
from pages.widgets import frame, planning, planning_advice, steps

theme: themes.Theme | None = None
if "theme" in st.query_params:
    theme = frame.theme_from_url(workbench.current())
wb, me = frame.open_page(
    title=_("A/B tests"),
    crumbs=frame.of_theme(theme) if theme else [frame.home()],
    help=_("Two versions of a model answer real users; the test says which is better, and how sure that is."),
)
if theme:
    steps.draw(wb, me, theme, "ab")

STATUS = {
    trials.DRAFT: f":gray-badge[{_('draft')}]",
    trials.RUNNING: f":green-badge[{_('running')}]",
    trials.STOPPED: f":orange-badge[{_('stopped')}]",
    trials.CONCLUDED: f":blue-badge[{_('concluded')}]",
}
NEW, EDIT, COPY = "new", "edit", "copy"
"""What the form is for: a plan from nothing, a draft's own, another test's once more."""


def listed(found: list[trials.Trial]) -> None:
    for trial in found:
        with (
            st.container(border=True, key=f"test-{trial.id}"),
            st.container(horizontal=True, vertical_alignment="center"),
        ):
            st.markdown(STATUS[trial.status], width="content")
            frame.link(frame.escape(trial.name), "abtest.py", {"test": trial.id})
            if not trial.intact:
                st.markdown(
                    f":red-badge[{_('plan changed')}]",
                    width="content",
                    help=_("The plan is not the one that was sealed at the start; this test proves nothing."),
                )
            st.space("stretch")
            if trial.outcome and trial.outcome.get("winner"):
                st.markdown(_("Winner: {name}").format(name=trial.outcome["winner"]), width="content")
            if trial.seal and trial.intact:
                st.caption(
                    _("sealed {seal}").format(seal=trial.seal[:8]),
                    width="content",
                    help=_("Fingerprint of the plan at the start: {seal}. It is checked whenever the test is read.")
                    .format(seal=trial.seal),
                )  # fmt: skip
            when = trial.started_at or trial.created_at
            st.caption(f"{when:%Y-%m-%d}", width="content")
            if theme and me.may(auth.TRAINER):
                if trial.status == trials.DRAFT:
                    frame.link(_("Edit"), "ab.py", {"theme": trial.theme_id, EDIT: trial.id})
                frame.link(
                    _("Copy"),
                    "ab.py",
                    {"theme": trial.theme_id, COPY: trial.id},
                    help=_("Plan a new test like this one."),
                )


@frame.dialog(_("Throw the draft away"))
def discard(trial: trials.Trial) -> None:
    st.markdown(
        _("“{name}” has not started, so nothing but its plan is lost.").format(name=frame.escape(trial.name))
    )
    if st.button(_("Throw it away"), type="primary", key="yes-discard"):
        with frame.refusals():
            trials.discard(wb, me, trial.id)
            frame.go("ab.py", theme=trial.theme_id)


@frame.fragment()
def plan_test(of: themes.Theme, versions: list[Choice], what: str, model: trials.Trial | None) -> None:
    """The form of a test, rehearsed and saved as a draft."""
    key = f"plan-{what}-{model.id if model else of.id}"
    name = _("Is the new version better?")
    if model:
        name = model.name if what == EDIT else _("{name}, again").format(name=model.name)[: trials.MAX_NAME]
    with st.container(border=True, key="plan"):
        titles = {NEW: _("New A/B test"), EDIT: _("Change the draft"), COPY: _("New A/B test")}
        st.subheader(titles[what], anchor=False)
        form = planning.draw(wb, of, versions, key=key, name=name, plan=model.plan if model else None)
        accepted = form.accepted()
        if accepted:
            planning_advice.rehearse(read(form.given), form.past, key=key)
        with st.container(horizontal=True, vertical_alignment="center", key="plan-actions"):
            text = _("Save the draft") if what == EDIT else _("Save as a draft")
            pressed = st.button(
                text, type="primary", key="save-test", help=_("Nothing starts yet; a draft can be changed.")
            )
            if what == EDIT and model and st.button(_("Throw the draft away"), key="discard"):
                discard(model)
            if what != NEW:
                frame.link(_("Back to the tests"), "ab.py", {"theme": of.id})
        if pressed and not accepted:
            frame.refuse(Conflict("Not saved yet: put right what is marked above."))
        elif pressed:
            with frame.refusals():
                if what == EDIT and model:
                    made = trials.update(wb, me, model.id, name=form.name, plan=form.given)
                else:
                    made = trials.create(wb, me, of.id, form.name, form.given)
                forget(key)
                frame.go("abtest.py", test=made.id)


def forget(key: str) -> None:
    """The next form of this kind begins afresh."""
    for name in [str(name) for name in st.session_state if str(name).startswith(f"{key}-")]:
        del st.session_state[name]


def model_from_url(of: themes.Theme) -> tuple[str, trials.Trial | None]:
    """What the form is for, by the address: `?edit=7`, `?copy=7`."""
    for what in (EDIT, COPY):
        number = frame.number_from_url(what)
        if number is None:
            continue
        with frame.refusals():
            model = trials.get(wb, number)
            if model.theme_id != of.id:
                raise NotFound("There is no A/B test {id}.", id=number)
            if what == EDIT and model.status != trials.DRAFT:
                raise Conflict("The plan was sealed when the test started; make a new test for another plan.")
            return what, model
    return NEW, None


found = trials.listed(wb, theme.id if theme else None)
if not found:
    st.caption(
        _(
            "No A/B test yet. It shows whether a new version is better for people who use it, not only on test images."
        )
    )
if theme and me.may(auth.TRAINER):
    versions = version_lists.choices(wb, theme.id)
    what, model = model_from_url(theme)
    if len(versions) < 2:
        st.info(
            _(
                "A test compares two versions; this theme has {n}. Train again, with more labels or other parameters."
            ).format(n=len(versions))
        )
        frame.link(_("Go to training"), "training.py", {"theme": theme.id})
    elif model or st.toggle(
        _("New A/B test"), value=not found, key="new-test", help=_("Plan a test of two versions or more.")
    ):
        plan_test(theme, versions, what, model)
elif not theme and me.may(auth.TRAINER):
    st.caption(_("Open a theme to plan a new test there."))
if not (theme and me.may(auth.TRAINER) and model):
    listed(found)
