"""Drop images on a deployed model, see its answers, correct them, take them away; or have many predicted meanwhile.

Of a model that was trained elsewhere: write texts, user ids or rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from core import auth, registry, serving, themes, workbench
from core import corrections as corrected
from core.errors import VeritrainError
from core.gateway import images, tables
from core.i18n import gettext as _
from core.i18n import ngettext
from core.labels import Label
from core.passport.names import stage as stage_name
from core.serving import Deployment, Prediction
from core.signatures import VISION
from pages.widgets import answer_gallery, deployments, frame, predict_rows, prediction_batches, steps

SHOWN = 60
"""Answers of a page, and refused files that are named; the downloads have all of them."""

theme: themes.Theme | None = None
if "theme" in st.query_params:
    theme = frame.theme_from_url(workbench.current())
wb, me = frame.open_page(
    title=_("Predict"),
    crumbs=frame.of_theme(theme) if theme else [frame.home()],
    help=_("A few images are answered at once by a model server; many are predicted in the background."),
)
if theme:
    steps.draw(wb, me, theme, "predict")


@frame.fragment(run_every=2)
def waiting(deployment_id: int) -> None:
    deployment = serving.get(wb, deployment_id)
    if deployment.status == serving.UP:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{deployments.title(deployment)}**")
        st.markdown(deployments.state(deployment))
    deployments.trouble(me, deployment)


def nothing_deployed() -> None:
    newest = registry.newest(wb, theme.id if theme else None)
    if newest is None:
        st.info(_("There is no model yet. Train one first; then you can use it here."))
        if theme:
            frame.link(_("Go to training"), "training.py", {"theme": theme.id})
        return
    if newest.kind == VISION:
        st.info(
            _("No model is deployed, so nobody could answer at once. In the background any version predicts.")
        )
    else:
        st.info(_("No model is deployed, so nobody could answer."))
    name = _("{theme}, version {n}").format(theme=newest.called, n=newest.version)
    if me.may(auth.TRAINER):
        if st.button(
            _("Deploy {model}").format(model=name),
            type="primary",
            key="deploy-newest",
            help=_("Starts a model server for the newest version."),
        ):
            with frame.refusals():
                serving.deploy(wb, me, newest.id)
                st.rerun()
    else:
        st.caption(_("Ask someone with the role “trainer” to deploy one."))


def choose(found: list[Deployment]) -> Deployment:
    """The one that the address names, else of those that can answer the one in production before others."""
    found = deployments.by_stage(found)
    wanted = frame.number_from_url("deployment")
    ready = [each for each in found if each.status == serving.UP]
    first = next((each for each in found if each.id == wanted), (ready or found)[0])
    if len(found) == 1:
        return first
    return st.selectbox(
        _("Model"),
        found,
        found.index(first),
        format_func=lambda each: f"{deployments.name(each)} · {stage_name(each.version.stage)}",
        key="model",
        help=_("Which deployed model answers."),
    )


def asked(deployment: Deployment, files: list[tuple[str, bytes]], which: tuple[str, ...]) -> list[Prediction]:
    """The answers; what is pressed on this screen does not ask again. Raises VeritrainError."""
    known = (deployment.id, which)
    if st.session_state.get("asked", (None,))[0] != known:
        with st.spinner(_("The model is looking …")):
            st.session_state["asked"] = (known, serving.predict(wb, me, deployment.id, files))
    found: list[Prediction] = st.session_state["asked"][1]
    return found


def pictures_of(shown: Sequence[Prediction], files: list[tuple[str, bytes]]) -> dict[str, bytes]:
    """Of the answers shown, by name; archives are opened again only where others are shown."""
    known = (st.session_state["asked"][0], frozenset(answer.name for answer in shown))
    if st.session_state.get("pictures", (None,))[0] != known:
        st.session_state["pictures"] = (known, images.of_names(wb.settings, files, known[1]))
    found: dict[str, bytes] = st.session_state["pictures"][1]
    return found


ORDERS: dict[str, Callable[[Prediction], Any]] = {
    "given": lambda answer: 0,
    "unsure": lambda answer: answer.confidence,
    "sure": lambda answer: -(answer.confidence or 0),
    "label": lambda answer: (answer.label, -(answer.confidence or 0)),
}


def ordered(answers: Sequence[Prediction]) -> list[Prediction]:
    names = {
        "given": _("as sent"),
        "unsure": _("least sure first"),
        "sure": _("surest first"),
        "label": _("by label"),
    }
    order = st.selectbox(
        _("Order"),
        names,
        format_func=names.__getitem__,
        key="order",
        help=_("In which order answers are shown."),
    )
    return sorted(answers, key=ORDERS[order])


def refused(bad: Sequence[Prediction]) -> None:
    with st.container(border=True, key="refused"):
        said = ngettext("**{n} file could not be used:**", "**{n} files could not be used:**", len(bad))
        st.markdown(said.format(n=len(bad)))
        for answer in bad[:SHOWN]:
            st.markdown(f"- {frame.escape(answer.error or '')}")


def cards(
    page: Sequence[Prediction], answers: Sequence[Prediction], pictures: dict[str, bytes]
) -> list[answer_gallery.Shown]:
    """Of several files with one name only the first has its picture, and can be corrected: by the name it is found."""
    first = {each.name: each for each in reversed(answers)}
    return [
        answer_gallery.Shown(
            each.name,
            each.name,
            each.label or "",
            each.confidence or 0.0,
            each.probabilities,
            pictures.get(each.name) if first[each.name] is each else None,
        )
        for each in page
    ]


def correct(theme_id: int, files: list[tuple[str, bytes]], right: dict[str, Label]) -> corrected.Corrected:
    """Send the images whose label somebody chose back to the theme."""
    data = images.of_names(wb.settings, files, right.keys())
    return corrected.add(wb, me, theme_id, [(name, data[name], label.id) for name, label in right.items()])


def downloads(answers: Sequence[Prediction], labels: Sequence[str]) -> None:
    with st.popover(
        _("Download"), key="download", help=_("All answers with the probability of every label.")
    ):
        for name, (media_type, write) in tables.FORMATS.items():
            st.download_button(
                {"csv": "CSV", "jsonl": "JSON Lines", "parquet": "Parquet"}[name],
                partial(write, answers, labels),  # written when somebody presses it
                f"predictions.{name}",
                media_type,
                key=name,
                on_click="ignore",
                width="stretch",
            )


def ask(deployment: Deployment) -> None:
    ways = {"files": _("Files or archives"), "folder": _("A folder")}
    way = st.segmented_control(
        _("What to send"),
        ways,
        default="files",
        required=True,
        format_func=ways.__getitem__,
        key="way",
        help=_("A folder is read with the folders in it."),
    )
    uploaded = st.file_uploader(
        _("Images"),
        accept_multiple_files="directory" if way == "folder" else True,
        key=f"images-{way}",
        help=_("Image files, or a zip or tar of them; at most {n} images at once.").format(
            n=wb.settings.predict_images
        ),
    )
    if not uploaded:
        st.caption(_("Drop images above; the answers appear here."))
        return
    files = [(file.name, file.getvalue()) for file in uploaded]
    try:
        answers = asked(deployment, files, tuple(file.file_id for file in uploaded))
    except VeritrainError as error:
        frame.refuse(error)
        return
    good = [answer for answer in answers if answer.error is None]
    if bad := [answer for answer in answers if answer.error is not None]:
        refused(bad)
    with st.container(horizontal=True, vertical_alignment="bottom", key="answers-head"):
        st.markdown(
            _("**{n} answers** from {model}").format(n=len(good), model=deployments.title(deployment)),
            width="stretch",
        )
        whole = ordered(good)
        downloads(answers, deployment.version.labels)
    theme_id = deployment.version.theme_id
    labels = themes.get(wb, theme_id).labels if me.may(auth.LABELER) else ()
    shown = answer_gallery.Answers(f"now-{hash(st.session_state['asked'][0])}", labels)
    shown.send(partial(correct, theme_id, files))
    first = answer_gallery.place(f"{shown.scope}-{st.session_state['order']}", len(whole), SHOWN)
    page = whole[first : first + SHOWN]
    shown.gallery(cards(page, good, pictures_of(page, files)))


VIEWS = {"now": _("A few images, at once"), "many": _("Many images, in the background")}

whose = theme.id if theme else None
view: str | None = "now"
if registry.newest(wb, whose, kind=VISION) is not None or registry.newest(wb, whose) is None:
    view = frame.choice(
        "view",
        VIEWS,
        _("How many images"),
        default="now",
        help=_(
            "Many are predicted by a worker while you do something else; no model need be deployed for that."
        ),
    )
if view == "many":
    prediction_batches.draw(wb, me, theme)
elif not (live := serving.deployments(wb, whose)):
    nothing_deployed()
else:
    deployment = choose(live)
    if deployment.status == serving.UP:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{deployments.title(deployment)}**")
            st.markdown(deployments.state(deployment))
        if deployment.version.inputs is None:
            ask(deployment)
        else:
            predict_rows.draw(wb, me, deployment)
    else:
        waiting(deployment.id)
