"""Drop images on a deployed model, see its answers, take them away as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import streamlit as st

from core import auth, registry, serving, themes, workbench
from core.errors import VeritrainError
from core.i18n import gettext as _
from core.serving import Deployment, Prediction
from pages.widgets import deployments, frame, steps

SHOWN = 60
"""Answers drawn as pictures; the CSV has all of them."""
COLUMNS = 4

theme: themes.Theme | None = None
if "theme" in st.query_params:
    theme = frame.theme_from_url(workbench.current())
wb, me = frame.open_page(
    title=_("Predict"),
    crumbs=frame.of_theme(theme) if theme else [frame.home()],
    help=_("The answers come from the model server of a deployed version."),
)
if theme:
    steps.draw(wb, me, theme, "predict")


def as_csv(answers: Sequence[Prediction], labels: Sequence[str]) -> bytes:
    """One row an image: file, label, confidence, the probability of each label, error. UTF-8 with a mark for Excel."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["file", "label", "confidence", *(f"p({label})" for label in labels), "error"])
    for answer in answers:
        writer.writerow(
            [
                safe_cell(answer.name),
                safe_cell(answer.label or ""),
                "" if answer.confidence is None else f"{answer.confidence:.6f}",
                *(f"{answer.probabilities[label]:.6f}" if answer.probabilities else "" for label in labels),
                safe_cell(answer.error or ""),
            ]
        )
    return out.getvalue().encode("utf-8-sig")


def safe_cell(text: str) -> str:
    """A cell that no spreadsheet reads as a formula (OWASP, CSV injection)."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


@frame.fragment(run_every=2)
def waiting(deployment_id: int) -> None:
    deployment = serving.get(wb, deployment_id)
    if deployment.status == serving.UP:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{deployments.title(deployment)}**")
        st.markdown(deployments.state(deployment))
    deployments.trouble(deployment)


def nothing_deployed() -> None:
    newest = registry.newest(wb, theme.id if theme else None)
    if newest is None:
        st.info(_("There is no model yet. Train one first; then you can use it here."))
        if theme:
            frame.link(_("Go to training"), "training.py", {"theme": theme.id})
        return
    st.info(_("No model is deployed, so nobody could answer."))
    name = _("{theme}, version {n}").format(theme=newest.theme_name, n=newest.version)
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
    wanted = frame.number_from_url("deployment")
    index = next((i for i, deployment in enumerate(found) if deployment.id == wanted), 0)
    if len(found) == 1:
        return found[0]
    return st.selectbox(
        _("Model"),
        found,
        index,
        format_func=deployments.title,
        key="model",
        help=_("Which deployed model answers."),
    )


def gallery(answers: Sequence[Prediction], files: dict[str, bytes]) -> None:
    good = [answer for answer in answers if answer.error is None]
    bad = [answer for answer in answers if answer.error is not None]
    if bad:
        with st.container(border=True, key="refused"):
            st.markdown(_("**{n} files could not be used:**").format(n=len(bad)))
            for answer in bad[:SHOWN]:
                st.markdown(f"- {frame.escape(answer.error or '')}")
    for begin in range(0, min(len(good), SHOWN), COLUMNS):
        for column, answer in zip(st.columns(COLUMNS), good[begin : begin + COLUMNS], strict=False):
            with column.container(border=True, height="stretch", key=f"answer-{begin}-{id(answer)}"):
                if answer.name in files:
                    st.image(files[answer.name], width="stretch")
                st.markdown(f"**{frame.escape(answer.label or '')}**")
                st.progress(answer.confidence or 0.0, text=f"{(answer.confidence or 0) * 100:.1f} %")
                st.caption(frame.escape(frame.shorten(answer.name, 60)))
    if len(good) > SHOWN:
        st.caption(_("{n} more are in the CSV.").format(n=len(good) - SHOWN))


def ask(deployment: Deployment) -> None:
    uploaded = st.file_uploader(
        _("Images"),
        accept_multiple_files=True,
        key="images",
        help=_("Image files, or a zip or tar of them; at most {n} images at once.").format(
            n=wb.settings.predict_images
        ),
    )
    if not uploaded:
        st.caption(_("Drop images above; the answers appear here."))
        return
    files = [(file.name, file.getvalue()) for file in uploaded]
    try:
        with st.spinner(_("The model is looking …")):
            answers = serving.predict(wb, me, deployment.id, files)
    except VeritrainError as error:
        frame.refuse(error)
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        done = sum(answer.error is None for answer in answers)
        st.markdown(
            _("**{n} answers** from {model}").format(n=done, model=deployments.title(deployment)),
            width="stretch",
        )
        st.download_button(
            _("Download as CSV"),
            as_csv(answers, deployment.version.labels),
            "predictions.csv",
            "text/csv",
            key="csv",
            on_click="ignore",
            help=_("All answers with the probability of every label."),
        )
    gallery(answers, dict(files))


live = serving.deployments(wb, theme.id if theme else None)
if not live:
    nothing_deployed()
else:
    deployment = choose(live)
    if deployment.status == serving.UP:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{deployments.title(deployment)}**")
            st.markdown(deployments.state(deployment))
        ask(deployment)
    else:
        waiting(deployment.id)
