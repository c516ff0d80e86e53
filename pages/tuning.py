"""A search for better parameters: what may be tried, how it goes, and what came out."""

from __future__ import annotations

import streamlit as st

from core import auth, params, runs, workbench
from core.errors import VeritrainError
from core.events import Status
from core.i18n import gettext as _
from core.params import OptunaParams
from core.tuning import tunings
from core.tuning.tunings import Tuning
from pages.widgets import form, frame, gate_block, search_space, steps
from pages.widgets.runs import badge, duration, when

LIVE_SECONDS = 2.0

theme = frame.theme_from_url(workbench.current())
wb, me = frame.open_page(
    title=_("Tune"),
    crumbs=frame.of_theme(theme),
    help=_(
        "Trains again and again with other parameters and keeps those that do best on the validation images."
    ),
)
steps.draw(wb, me, theme, "tuning")
may_train = me.may(auth.TRAINER)
every = tunings.listed(wb, theme.id)


def asked_for() -> Tuning | None:
    """The one in the address, else the newest."""
    number = frame.number_from_url("tuning")
    return next((each for each in every if each.id == number), every[0] if every else None)


def plan() -> None:
    """What may be tried, and the button that starts it."""
    try:
        saved = params.files(wb.settings, theme.id).model(OptunaParams)
    except VeritrainError as error:
        frame.refuse(error)
        frame.link(_("To the parameters"), "parameters.py", {"theme": theme.id})
        return
    obstacles = runs.preconditions(wb, theme.id)
    key = f"tune-{theme.id}"
    with st.expander(_("What to search"), expanded=not every, key=f"{key}-plan"):
        space = search_space.draw(saved.search, key, disabled=not may_train)
        entered = form.draw_flat(saved, OptunaParams(), key=f"{key}-form", disabled=not may_train)
        problem: VeritrainError | None = None
        wanted = saved
        try:
            values = params.with_values(OptunaParams, entered) | {"search": space}
            wanted = params.check(values, OptunaParams)
        except VeritrainError as error:
            problem = error
            frame.refuse(error)
        if problem is None:
            _expected(wanted)
        for obstacle, _fix in obstacles:
            st.warning(frame.escape(obstacle.text(_)))
        allowed, override = (False, "") if obstacles else gate_block.draw(wb, me, theme)
        if not may_train:
            st.info(_("Starting a tuning needs the role “trainer”."))
            return
        pressed = st.button(
            _("Start tuning"),
            type="primary",
            key="start-tuning",
            disabled=problem is not None or not allowed or not space,
            help=_(
                "Saves this search, freezes images and parameters, and puts the first trials on the queue."
            ),
        )
    if pressed:
        with frame.refusals():
            if wanted != saved:
                params.save(wb.settings, theme.id, me.name, wanted)
            frame.go(
                "tuning.py", theme=theme.id, tuning=tunings.start(wb, me, theme.id, override=override).id
            )


def _expected(wanted: OptunaParams) -> None:
    """How long it may take, from the theme's newest finished run."""
    for run in runs.history(wb, theme.id, limit=20):
        if run.result and run.result.get("seconds"):
            beside = min(wanted.parallel, wb.settings.workers)
            seconds = run.result["seconds"] * wanted.trials / beside
            st.caption(
                _("About {time} at most, if each trial takes as long as run {n} did.").format(
                    time=duration(seconds), n=run.id
                )
            )
            return


def heading(tuning: Tuning) -> None:
    # Once the search has ended, the best one runs again: its model is measured and registered.
    done = len([run for run in tunings.trials(wb, tuning.id) if not (run.active and tuning.active)])
    with st.container(horizontal=True, vertical_alignment="center", key="tuning-head"):
        st.markdown(badge(tuning.status))
        st.caption(
            _("started by {who}, {when}").format(
                who=frame.escape(tuning.created_by), when=when(tuning.created_at)
            )
        )
        st.caption(_("{n} of {all} trials done").format(n=done, all=tuning.search.trials))
        can_stop = may_train and tuning.active and not tuning.stopping
        if can_stop and st.button(
            _("Stop"),
            icon=":material/stop:",
            key="stop-tuning",
            help=_("Ends the trials that run; the best so far is kept."),
        ):
            with frame.refusals():
                tunings.stop(wb, me, tuning.id)
                st.rerun()
        ended_early = tuning.status in (Status.CANCELLED, Status.FAILED)
        if (
            may_train
            and ended_early
            and st.button(
                _("Resume"),
                key="resume-tuning",
                help=_("Goes on with the trials that are left, with what was learnt so far."),
            )
        ):
            with frame.refusals():
                tunings.resume(wb, me, tuning.id)
                st.rerun()
    if tuning.active:
        st.progress(min(done / tuning.search.trials, 1.0))
    if tuning.stopping:
        st.info(_("It is being stopped."))
    elif tuning.status == Status.QUEUED:
        st.info(_("The first trials begin in a moment, as soon as MLflow answers."))
    if tuning.error:
        st.error(f"**{frame.escape(tuning.error['message'])}** {frame.escape(tuning.error['next_step'])}")


def outcome(tuning: Tuning) -> None:
    """The best trial, and what to do with it."""
    best = (tuning.result or {}).get("best")
    if not best:
        return
    from pages.widgets.tuning_results import metric_text

    with st.container(border=True, key="best-trial"):
        st.markdown(
            _("**Best: run {n}** – {metric} {value:.4f} on the validation images.").format(
                n=best["run"], metric=metric_text(tuning.spec.metric), value=best["value"]
            )
        )
        st.markdown(
            frame.bullets(
                f"{search_space.title(name)}: {value:g}"
                if isinstance(value, float)
                else f"{search_space.title(name)}: {value}"
                for name, value in best["values"].items()
            )
        )
        with st.container(horizontal=True, vertical_alignment="center", key="best-actions"):
            if may_train and st.button(
                _("Use these parameters"),
                type="primary",
                key="use-best",
                help=_("Saves them as the parameters of this theme."),
            ):
                with frame.refusals():
                    tunings.use(wb, me, tuning.id, best["run"])
                    frame.go("parameters.py", theme=theme.id)
            frame.link(_("To its run and model"), "run.py", {"run": best["run"]})
            st.download_button(
                "params.yaml",
                params.to_yaml(params.check(best["params"], params.Params)),
                "params.yaml",
                icon=":material/download:",
                key="best-yaml",
                help=_("All parameters of the best trial as a file."),
            )


def results(tuning: Tuning) -> None:
    # Optuna takes a second to import: only those who look at a tuning wait for it.
    from pages.widgets import tuning_results

    tuning_results.draw(wb, tuning, f"tuning-{tuning.id}")
    st.link_button(
        _("Open in Optuna's dashboard"),
        "/optuna/",
        help=_("The same trials in optuna-dashboard's own screens, in a new tab."),
    )


@frame.fragment(run_every=LIVE_SECONDS)
def live(tuning_id: int) -> None:
    tuning = tunings.get(wb, tuning_id)
    if not tuning.active:
        st.rerun()  # the whole page: it now shows what came out
    heading(tuning)
    if tuning.status != Status.QUEUED:
        results(tuning)


current = asked_for()
if current is None:
    st.info(
        _(
            "Nothing was searched yet. Say below what may be tried; every trial is a training of its own, and the "
            "best one's model is registered."
        )
    )
if current is None or not current.active:
    plan()
if current is not None:
    if len(every) > 1:
        number = st.selectbox(
            _("Tuning"),
            [each.id for each in every],
            index=[each.id for each in every].index(current.id),
            format_func=lambda i: _("Tuning {n}, {when}").format(
                n=i, when=when(next(each.created_at for each in every if each.id == i))
            ),
            key=f"which-tuning-{current.id}",
            help=_("Earlier searches of this theme."),
        )
        if number != current.id:
            frame.go("tuning.py", theme=theme.id, tuning=number)
    if current.active:
        live(current.id)
    else:
        heading(current)
        outcome(current)
        results(current)
