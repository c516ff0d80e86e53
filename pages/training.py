"""What a training would use, what keeps it from starting, and the button that starts it."""

from __future__ import annotations

import streamlit as st

from core import auth, images, params, preflight, runs, workbench
from core.errors import VeritrainError
from core.i18n import gettext as _
from pages.widgets import form, frame, gate_block, steps
from pages.widgets import preflight as preflight_panel
from pages.widgets.runs import accuracy, badge, percent, took, when

theme = frame.theme_from_url(workbench.current())
wb, me = frame.open_page(
    title=_("Train"),
    crumbs=frame.of_theme(theme),
    help=_("Training looks at the labelled images again and again until the model tells them apart."),
)
steps.draw(wb, me, theme, "train")
counts = images.statistics(wb, theme.id)
obstacles = runs.preconditions(wb, theme.id)
FIXES = {
    "theme": (_("Go to the images"), "theme.py"),
    "parameters": (_("Go to the parameters"), "parameters.py"),
}

left, right = st.columns(2)
with left.container(border=True, height="stretch"):
    st.subheader(_("The data"), anchor=False)
    dealt = {split: sum(of.get(split, 0) for of in counts.by_label_split.values()) for split in images.SPLITS}
    columns = st.columns(3)
    columns[0].metric(
        _("to learn from"), f"{dealt['train']:,}", help=_("Labelled images of the train split.")
    )
    columns[1].metric(
        _("to check with"), f"{dealt['valid']:,}", help=_("Labelled images of the valid split.")
    )
    columns[2].metric(
        _("for the final mark"),
        f"{dealt['test']:,}",
        help=_("Labelled images of the test split; never learnt from."),
    )
    left_out = counts.total - sum(dealt.values())
    if left_out:
        st.caption(_("{n} images have no label or no split yet and are left out.").format(n=f"{left_out:,}"))
with right.container(border=True, height="stretch"):
    st.subheader(_("The parameters"), anchor=False)
    try:
        chosen, augmented = params.saved(wb.settings, theme.id)
        st.markdown(
            _("**{architecture}**, {epochs} epochs, batches of {batch} images of {size} pixels.").format(
                architecture=chosen.model.architecture,
                epochs=chosen.training.epochs,
                batch=chosen.training.batch_size,
                size=chosen.data.image_size,
            )
        )
        defaults = params.load_defaults()
        n = len(form.changes(chosen, defaults[0])) + len(form.changes(augmented, defaults[1]))
        st.caption(_("{n} changed from the defaults.").format(n=n) if n else _("All at their defaults."))
    except VeritrainError as error:
        frame.refuse(error)
    with st.container(horizontal=True, key="to-parameters"):
        frame.link(_("Change the parameters"), "parameters.py", {"theme": theme.id})
        frame.link(_("Have better ones searched"), "tuning.py", {"theme": theme.id})

for obstacle, fix in obstacles:
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"obstacle-{fix}"):
        st.markdown(frame.escape(obstacle.text(_)), width="stretch")
        if fix:
            text, file = FIXES[fix]
            frame.link(text, file, {"theme": theme.id})
allowed, override = (False, "") if obstacles else gate_block.draw(wb, me, theme)
tried = preflight.standing(wb, theme.id) if not obstacles else preflight.Standing("none")
preflight_panel.draw(wb, me, theme, tried, override)
if not me.may(auth.TRAINER):
    st.info(_("Starting a training needs the role “trainer”."))
elif tried.state != "going":
    with st.container(horizontal=True, vertical_alignment="center", key="start"):
        pressed = st.button(
            _("Train"),
            type="primary",
            key="train",
            disabled=not allowed or tried.state == "red",
            help=_("Freezes images and parameters as they are now and puts the run on the queue."),
        )
        busy = runs.workers_busy(wb)
        first = preflight_panel.wants(theme, busy)
        again = tried.state == "red" and st.button(
            _("Try again"), key="preflight-again", help=_("Where something else than the parameters changed.")
        )
    if again or (pressed and first and tried.state != "green"):
        preflight_panel.begin(wb, me, theme)
    elif pressed:
        with frame.refusals():
            frame.go("run.py", run=runs.start(wb, me, theme.id, override=override).id)


@frame.fragment(run_every=2)
def recent() -> None:
    found = runs.history(wb, theme.id, limit=8)
    if not found:
        return
    st.subheader(_("Runs"), anchor=False)
    for run in found:
        with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"run-{run.id}"):
            frame.link(_("Run {n}").format(n=run.id), "run.py", {"run": run.id})
            st.markdown(badge(run.status))
            st.caption(when(run.created_at))
            st.caption(took(run))
            if accuracy(run) is not None:
                st.markdown(_("{share} right on the test images").format(share=percent(accuracy(run))))
            elif run.active and run.progress:
                st.progress(float(run.progress["fraction"]))


recent()
