"""One run: live while it goes, its result when it has ended. Everything comes from the database."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core import auth, registry, repeats, run_control, runs, serving, themes, workbench
from core.errors import NotFound, VeritrainError
from core.evaluations import words
from core.evaluations.report import Report
from core.events import Status
from core.i18n import gettext as _
from core.runs import Run
from pages.widgets import curves, effect, evaluation, frame, run_controls, run_live, steps
from pages.widgets.runs import badge, percent, took, when

LIVE_SECONDS = 1.0


def asked_for() -> Run:
    number = frame.number_from_url("run")
    try:
        if number is None:
            raise NotFound("This address names no run; choose one from the history.")
        return runs.get(workbench.current(), number)
    except NotFound as error:
        frame.missing(error)
        raise


first = asked_for()
try:
    theme = themes.get(workbench.current(), first.theme_id)
except NotFound as gone:
    frame.missing(gone)
    raise
wb, me = frame.open_page(title=_("Run {n}").format(n=first.id), crumbs=frame.of_theme(theme))
may_train = me.may(auth.TRAINER)
steps.draw(wb, me, theme, "train" if first.active else "history")


def trial(run: Run) -> None:
    """A trial of a tuning has neither marks on the test images nor a model."""
    st.info(_("This is a trial of a tuning. Only the best trial's model is measured and registered."))
    assert run.spec.trial is not None
    frame.link(_("To the tuning"), "tuning.py", {"theme": theme.id, "tuning": run.spec.trial.tuning})
    curves.of_run(wb, run, f"ended-{run.id}")
    run_live.validations(wb, run, f"ended-{run.id}")
    with st.expander(_("Where it comes from")):
        came_from(run)


def heading(run: Run) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(badge(run.status))
        st.caption(
            _("started by {who}, {when}").format(who=frame.escape(run.created_by), when=when(run.created_at))
        )
        st.caption(_("took {time}").format(time=took(run)))
        if run.attempt > 1:
            st.caption(
                _("attempt {n}").format(n=run.attempt),
                help=_("Each attempt goes on from the last checkpoint."),
            )


@frame.fragment(run_every=LIVE_SECONDS)
def live() -> None:
    run = runs.get(wb, first.id)
    if not run.active:
        st.rerun()  # the whole page: it now shows the result
    heading(run)
    run_controls.asked(wb, run)
    run_live.progress(wb, run)
    curves.of_run(wb, run, f"live-{run.id}")
    run_live.validations(wb, run, f"live-{run.id}")
    run_live.log(wb, run)


def tiles(run: Run, judged: Report | None) -> None:
    metrics: dict[str, Any] = (run.result or {})["metrics"]
    columns = st.columns(4)
    columns[0].metric(
        _("Right on test"),
        percent(metrics["test"].get("accuracy")),
        help=_("Share of right answers among {n} images the model did not learn from.").format(
            n=metrics["test"].get("n")
        ),
    )
    columns[1].metric(
        _("Right on valid"),
        percent(metrics.get("valid", {}).get("accuracy")),
        help=_("Share of right answers among {n} images the model did not learn from.").format(
            n=metrics.get("valid", {}).get("n")
        ),
    )
    columns[2].metric(
        _("Macro F1 on test"),
        f"{metrics['test']['macro_f1']:.3f}",
        help=_(
            "How complete and exact the answers are, averaged over labels; rare ones count as much as common ones."
        ),
    )
    columns[3].metric(
        _("Best epoch"),
        _("{n} of {all}").format(n=run.result["best_epoch"], all=run.result["epochs_run"]),  # type: ignore[index]
        help=_("The model of this epoch did best on the validation images and was kept."),
    )
    if judged:
        f1 = judged.macro_f1
        columns[0].caption(
            words.span(judged.accuracy),
            help=_("With other test images the mark would lie in here 95 times of 100 (Wilson)."),
        )
        columns[2].caption(
            _("{low} to {high}").format(low=f"{f1.low:.3f}", high=f"{f1.high:.3f}"),
            help=_("With other test images the mark would lie in here 95 times of 100 (bootstrap)."),
        )


def repetition(run: Run) -> None:
    """What became of a repetition, or the button that makes one."""
    found = repeats.verdict(wb, run)
    if found:
        mark = f":green-badge[{_('identical')}]" if found.identical else f":orange-badge[{_('differs')}]"
        with st.container(border=True, key="repetition"):
            st.markdown(f"{mark} {frame.escape(words.repeated(found))}")
            if text := words.surroundings(found):
                st.caption(frame.escape(text))
            frame.link(_("To run {n}").format(n=found.original), "run.py", {"run": found.original})
    if may_train and st.button(
        _("Repeat"),
        icon=":material/replay:",
        key="repeat",
        help=_("Trains again with the same images and parameters and says whether the same comes out."),
    ):
        with frame.refusals():
            frame.go("run.py", run=repeats.start(wb, me, run.id).id)


def judged_of(run: Run, split: str) -> Report | None:
    """None where the run kept no answers to single images, as those of long ago."""
    try:
        return evaluation.of_run(wb, wb.settings.database_url, run.id, split)
    except VeritrainError:
        return None


def result(run: Run) -> None:
    found = run.result or {}
    repetition(run)
    judged = judged_of(run, "test")
    tiles(run, judged)
    if run.spec.repeats is None:  # a repetition changes nothing that could have an effect
        effect.draw(wb, run)
    version = registry.of_run(wb, run.id)
    if version:
        with st.container(border=True, horizontal=True, vertical_alignment="center", key="version"):
            st.markdown(
                _("Registered as version **{n}** of this theme's model.").format(n=version.version),
                width="stretch",
            )
            served = [d for d in serving.deployments(wb, theme.id) if d.version.id == version.id]
            if served:
                frame.link(_("Use it on Predict"), "predict.py", {"theme": theme.id})
            elif may_train and st.button(
                _("Deploy"),
                type="primary",
                key="deploy",
                help=_("Starts a model server, so that the model can be used."),
            ):
                with frame.refusals():
                    serving.deploy(wb, me, version.id)
                    frame.go("predict.py", theme=theme.id)
    if judged:
        evaluation.advice(wb, me, theme, judged)
    where, by_label, kinds, sure, drawn, origin = st.tabs(
        [
            _("Where it errs"),
            _("By label"),
            _("By kind of image"),
            _("How sure it is"),
            _("Curves"),
            _("Where it comes from"),
        ]
    )
    splits = {"test": _("test images"), "valid": _("validation images")}
    with where:
        split = (
            st.segmented_control(
                _("Measured on"),
                list(splits),
                default="test",
                format_func=lambda s: splits[s],
                key="confusion-split",
                help=_("Both were kept from learning; valid chose the best epoch, test is the final mark."),
            )
            or "test"
        )
        evaluation.errs(wb, me, theme, run, judged_of(run, split), split)
    with by_label:
        st.dataframe(
            [
                {
                    _("Label"): row["label"],
                    _("Precision"): row["precision"],
                    _("Recall"): row["recall"],
                    "F1": row["f1"],
                    _("Images"): row["support"],
                }
                for row in found["per_class"]["test"]
            ],
            hide_index=True,
            width="stretch",
            column_config={
                _("Precision"): st.column_config.ProgressColumn(
                    format="percent",
                    min_value=0,
                    max_value=1,
                    help=_("Of the images called this, how many are."),
                ),
                _("Recall"): st.column_config.ProgressColumn(
                    format="percent",
                    min_value=0,
                    max_value=1,
                    help=_("Of the images that are this, how many were found."),
                ),
                "F1": st.column_config.NumberColumn(
                    format="%.3f", help=_("Precision and recall in one number.")
                ),
            },
            key="per-class",
        )
    for tab, draw in (
        (kinds, lambda found: evaluation.kinds(wb, me, theme, found)),
        (sure, evaluation.sureness),
    ):
        with tab:
            if judged:
                draw(judged)
            else:
                st.caption(
                    _("This run did not keep its answers to single images, so nothing can be said here.")
                )
    with drawn:
        curves.of_run(wb, run, f"ended-{run.id}")
        run_live.validations(wb, run, f"ended-{run.id}")
        run_live.open_worst(wb, me, run)
    with origin:
        came_from(run)


def came_from(run: Run) -> None:
    """Data, code and parameters that made the run, and its place in MLflow."""
    spec = run.spec
    code = spec.code
    if spec.trial:
        frame.link(
            _("Trial of tuning {n}").format(n=spec.trial.tuning),
            "tuning.py",
            {"theme": theme.id, "tuning": spec.trial.tuning},
        )
    if spec.continues:
        text = _("Goes on from epoch {epoch} of run {n}").format(
            epoch=spec.continues.epochs, n=spec.continues.run_id
        )
        frame.link(text, "run.py", {"run": spec.continues.run_id})
    st.markdown(
        "\n".join(
            [
                _("- Data: snapshot `{hash}`").format(hash=spec.snapshot.hash),
                _("- Code: commit `{commit}`{dirty}, source `{hash}`").format(
                    commit=code.commit[:12],
                    dirty=_(" (with changes that are not committed)") if code.dirty else "",
                    hash=code.source_hash[:12],
                ),
            ]
        )
    )
    if run.result:
        facts = run.result
        st.markdown(
            _("- Computed on {device} in {precision}, {speed:.0f} images a second").format(
                device=frame.escape(str(facts["device"])),
                precision=facts["precision"],
                speed=facts["images_per_second"],
            )
        )
        if "latency_ms" in facts:
            st.markdown(_("- Answers after {ms:.3g} ms, one image at a time").format(ms=facts["latency_ms"]))
    if run.mlflow_run_id and run.result:
        address = f"/mlflow/#/experiments/{run.result['mlflow_experiment_id']}/runs/{run.mlflow_run_id}"
        st.link_button(
            _("Open in MLflow"), address, help=_("The same run in MLflow's own screens, in a new tab.")
        )
    names = spec.labels
    st.dataframe(
        [
            {
                _("Label"): name,
                **{
                    split: run.snapshot_counts.get(split, {}).get(name, 0)
                    for split in ("train", "valid", "test")
                },
            }
            for name in names
        ],
        hide_index=True,
        key="snapshot-counts",
    )
    with st.expander(_("All parameters")):
        st.dataframe(
            [
                {_("Parameter"): name, _("Value"): str(value)}
                for name, value in runs.flat_parameters(spec).items()
            ],
            hide_index=True,
            width="stretch",
            key="parameters",
        )


def failure(run: Run) -> None:
    error = run.error or {}
    number = error.get("id")
    text = f"**{frame.escape(error.get('message', _('The run failed.')))}** {frame.escape(error.get('next_step', ''))}"
    st.error(text + (" " + _("(Error number {id})").format(id=number) if number else ""))


if first.active:
    if may_train:
        run_controls.draw(wb, me, first)
    live()
else:
    heading(first)
    if first.status == Status.FAILED:
        failure(first)
    if first.status == Status.CANCELLED:
        st.info(_("This run was stopped without a result. Its last checkpoint is kept."))
    if first.status == Status.PAUSED:
        st.info(_("This run is paused. Nothing is lost; others can train meanwhile."))
    if first.kind == runs.TRIAL:
        trial(first)
    elif first.status != Status.SUCCEEDED:
        if may_train and st.button(
            _("Resume"),
            type="primary",
            key="resume",
            help=_("Goes on from the last checkpoint with the same data and parameters."),
        ):
            with frame.refusals():
                run_control.resume(wb, me, first.id)
                st.rerun()
        if may_train and first.status == Status.PAUSED:
            run_controls.stop_button(wb, me, first)
        curves.of_run(wb, first, f"ended-{first.id}")
        run_live.validations(wb, first, f"ended-{first.id}")
        with st.expander(_("Where it comes from")):
            came_from(first)
    else:
        result(first)
    if first.kind != runs.TRIAL:  # the tuning clears away what it does not need
        run_controls.checkpoints(wb, me, first)
    run_live.log(wb, first)
