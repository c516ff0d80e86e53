"""What a person may do with a run: pause, stop, go on, take what it left."""

from __future__ import annotations

import streamlit as st

from core import auth, run_control, run_growth
from core.events import Status, Wish
from core.i18n import gettext as _
from core.runs import Run
from core.workbench import Workbench
from pages.widgets import frame
from pages.widgets.runs import when


@frame.dialog(_("Stop this run"))
def ask_stop(wb: Workbench, me: auth.User, run: Run) -> None:
    ways = {
        Wish.FINISH: (
            _("After this epoch"),
            _("Ends the epoch, then measures and registers the best model."),
        ),
        Wish.KEEP: (
            _("Now, keep the best model"),
            _("Measures and registers the best model of the epochs so far."),
        ),
        Wish.CANCEL: (
            _("Now, without a result"),
            _("Nothing is registered. The checkpoint stays: you can resume."),
        ),
    }
    if run.status == Status.PAUSED:  # no worker has it that could measure anything
        ways = {Wish.CANCEL: ways[Wish.CANCEL]}
    how = st.radio(
        _("When"),
        list(ways),
        format_func=lambda way: ways[way][0],
        captions=[caption for _title, caption in ways.values()],
        key="how-to-stop",
        help=_("A run listens between two batches."),
    )
    if st.button(_("Stop the run"), type="primary", key="yes-stop"):
        with frame.refusals():
            run_control.stop(wb, me, run.id, how)
            st.rerun()


def draw(wb: Workbench, me: auth.User, run: Run) -> None:
    """Pause and stop, while it is under way."""
    with st.container(horizontal=True, vertical_alignment="center", key="controls"):
        if st.button(
            _("Pause"),
            icon=":material/pause:",
            key="pause",
            help=_("Saves a checkpoint and makes room for others. Resume goes on exactly there."),
        ):
            with frame.refusals():
                run_control.pause(wb, me, run.id)
                st.rerun()
        stop_button(wb, me, run)


def stop_button(wb: Workbench, me: auth.User, run: Run) -> None:
    if st.button(
        _("Stop …"), icon=":material/stop:", key="stop", help=_("End it early, with or without a result.")
    ):
        ask_stop(wb, me, run)


def asked(wb: Workbench, run: Run) -> None:
    """What somebody asked of it and it has not done yet."""
    said = {
        Wish.PAUSE: _("It is being paused: a checkpoint is written after this batch."),
        Wish.FINISH: _("It ends after this epoch."),
        Wish.KEEP: _("It is being stopped; then its best model is measured."),
        Wish.CANCEL: _("It is being stopped."),
    }.get(run_control.wished(wb, run.id) or "")  # type: ignore[call-overload]
    if said:
        st.info(said)


def checkpoints(wb: Workbench, me: auth.User, run: Run) -> None:
    """What a run left to go on from: look whether it is whole, go on from it, clear it away."""
    kept = run_control.checkpoints(wb, run.id)
    if not kept:
        return
    with st.expander(_("Checkpoints"), key="checkpoints-of-run"):
        kinds = {"last": _("the newest"), "best": _("the best")}
        checked: dict[str, bool] = st.session_state.get(f"checked-{run.id}", {})
        states = {None: "–", True: _("whole"), False: _("damaged")}
        st.dataframe(
            [
                {
                    _("Which"): kinds.get(each.kind, each.kind),
                    _("Epoch"): each.epoch,
                    _("Step"): each.step,
                    _("Size (MB)"): round((each.size or 0) / 1e6, 1),
                    _("State"): states[checked.get(each.sha256)],
                    _("Written (UTC)"): when(each.created_at),
                    "SHA-256": each.sha256[:16],
                }
                for each in kept
            ],
            hide_index=True,
            key="checkpoints",
        )
        may_train = me.may(auth.TRAINER)
        ended = not run.active and run.status != Status.PAUSED
        with st.container(horizontal=True, vertical_alignment="bottom", key="checkpoint-actions"):
            if st.button(
                _("Check them"),
                key="check-checkpoints",
                help=_("Reads the files and compares them with what was written."),
            ):
                st.session_state[f"checked-{run.id}"] = {
                    each.sha256: run_control.intact(wb, each) for each in kept
                }
                st.rerun()
            if (
                ended
                and may_train
                and st.button(
                    _("Remove them"),
                    key="remove-checkpoints",
                    help=_("Frees the disk. The registered model stays; the run cannot go on any more."),
                )
            ):
                with frame.refusals():
                    run_control.remove_checkpoints(wb, me, run.id)
                    st.rerun()
        if ended and may_train:
            _grow(wb, me, run, {each.kind: kinds.get(each.kind, each.kind) for each in kept})


def _grow(wb: Workbench, me: auth.User, run: Run, kinds: dict[str, str]) -> None:
    """A new run that goes on where this one ended, or a training of its own that starts with these weights."""
    left, right = st.columns(2)
    if "last" in kinds:
        with left.form(f"extend-{run.id}", border=True):
            st.markdown(f"**{_('Train some epochs more')}**")
            epochs = st.number_input(
                _("Epochs more"),
                1,
                999,
                5,
                key="extend-epochs",
                help=_(
                    "A new run goes on with the same images and parameters; its learning rate begins anew. "
                    "This run stays as it is."
                ),
            )
            if st.form_submit_button(_("Extend"), key="extend"):
                with frame.refusals():
                    frame.go("run.py", run=run_growth.extend(wb, me, run.id, int(epochs)).id)
    with right.form(f"start-from-{run.id}", border=True):
        st.markdown(f"**{_('Start a training from its weights')}**")
        kind = st.selectbox(
            _("Which checkpoint"),
            sorted(kinds),
            format_func=kinds.__getitem__,
            key="start-from-kind",
            help=_("Becomes the “Starting weights” of this theme's parameters; everything else there stays."),
        )
        if st.form_submit_button(_("Use these weights"), key="start-from"):
            with frame.refusals():
                run_growth.start_from(wb, me, run.id, kind)
                frame.go("parameters.py", theme=run.theme_id)
