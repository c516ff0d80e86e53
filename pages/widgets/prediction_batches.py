"""Many images predicted in the background: a new batch, and what became of the others."""

from __future__ import annotations

import streamlit as st

from core import (
    auth,
    images,
    prediction_batches,
    prediction_intake,
    prediction_jobs,
    registry,
    run_control,
    themes,
)
from core.events import Status, Wish
from core.i18n import gettext as _
from core.i18n import ngettext
from core.image_filter import Filter
from core.passport.names import stage as stage_name
from core.prediction_batches import OPEN, Batch
from core.registry import Version
from core.signatures import VISION
from core.workbench import Workbench
from pages.widgets import batch_answers, frame, upload, versions
from pages.widgets.runs import badge, duration, when

LIVE_SECONDS = 2.0
MOST_VERSIONS = 200
"""The newest ones, to choose from."""
PAGE = 20
ROUND = "batch-round"
"""Where the session keeps how many batches were begun: the place to drop files on begins anew with each."""


def draw(wb: Workbench, me: auth.User, theme: themes.Theme | None) -> None:
    collecting = prediction_batches.collecting(wb, me, theme.id if theme else None)
    with st.container(border=True, key="new-batch"):
        if collecting is None:
            _new(wb, me, theme)
        else:
            _collect(wb, me, collecting)
    _list(wb, me, theme.id if theme else None, collecting)


# --- a new batch -----------------------------------------------------------------


def _new(wb: Workbench, me: auth.User, theme: themes.Theme | None) -> None:
    st.subheader(_("New batch"), anchor=False)
    newest = registry.versions(wb, theme.id if theme else None, kind=VISION, limit=MOST_VERSIONS)
    found = sorted(newest, key=lambda each: versions.RANKS[each.stage])
    if not found:
        st.info(_("There is no model yet. Train one first; then you can use it here."))
        if theme:
            frame.link(_("Go to training"), "training.py", {"theme": theme.id})
        return
    columns = st.columns(2)
    wanted = frame.number_from_url("version")
    version = columns[0].selectbox(
        _("Model version"),
        found,
        next((place for place, each in enumerate(found) if each.id == wanted), 0),
        format_func=lambda each: f"{versions.title(each)} · {each.semver} · {stage_name(each.stage)}",
        key="batch-version",
        help=_("It need not be deployed."),
    )
    name = columns[1].text_input(
        _("Name"),
        max_chars=prediction_batches.MAX_NAME,
        key=f"batch-name-{_round()}",
        placeholder=_("the moment it was made"),
        help=_("By which you find the answers again."),
    )
    sources = {"files": _("Files of your own"), "theme": _("Images of a theme")}
    source = st.segmented_control(
        _("Which images"),
        sources,
        default="files",
        required=True,
        format_func=sources.__getitem__,
        key="batch-source",
        help=_(
            "Your own files are kept with the batch until you delete it; images of a theme stay the theme's."
        ),
    )
    assert version is not None
    if source == "theme":
        _of_theme(wb, me, theme, version, name)
        return
    body = {"version_id": version.id, "name": name}
    address = "/api/prediction-batches/"
    if _drop_zone(upload.Made(address, body, f"{address}{{id}}/files/")):
        st.rerun()
    st.caption(
        _("At most {n} images; archives are opened. You start the prediction after they have come.").format(
            n=f"{wb.settings.predict_batch_images:,}"
        )
    )


def _of_theme(wb: Workbench, me: auth.User, theme: themes.Theme | None, version: Version, name: str) -> None:
    every = [card.theme for card in themes.cards(wb)]
    first = theme.id if theme else version.theme_id
    columns = st.columns(2)
    chosen = columns[0].selectbox(
        _("Theme"),
        every,
        next((place for place, each in enumerate(every) if each.id == first), 0),
        format_func=lambda each: each.name,
        key="batch-theme",
        help=_("Whose images are predicted; it may be another one than the model's."),
    )
    assert chosen is not None
    counts = images.statistics(wb, chosen.id)
    which: dict[str, tuple[str, Filter, int]] = {
        "all": (_("all"), Filter(), counts.total),
        "unlabelled": (_("not labelled yet"), Filter(state="unlabelled"), counts.unlabelled),
        "train": (_("the split train"), Filter(split="train"), counts.by_split.get("train", 0)),
        "valid": (_("the split valid"), Filter(split="valid"), counts.by_split.get("valid", 0)),
        "test": (_("the split test"), Filter(split="test"), counts.by_split.get("test", 0)),
    }
    part = columns[1].selectbox(
        _("Images"),
        which,
        format_func=lambda key: f"{which[key][0]} ({which[key][2]:,})",
        key="batch-part",
        help=_("Which of the theme's images."),
    )
    assert part is not None
    _text, wanted, n = which[part]
    if st.button(
        ngettext("Predict {n} image", "Predict {n} images", n).format(n=f"{n:,}"),
        type="primary",
        disabled=not n,
        key="predict-theme",
        help=_("Starts as soon as a worker is free."),
    ):
        with frame.refusals():
            batch = prediction_batches.create(wb, me, version.id, name)
            prediction_intake.add_images(wb, me, batch.id, chosen.id, wanted)
            _start(wb, me, batch)


def _collect(wb: Workbench, me: auth.User, batch: Batch) -> None:
    st.subheader(_("New batch: {name}").format(name=frame.escape(batch.name)), anchor=False)
    said = _("{n} images are here, for {version}.").format(
        n=f"{batch.images:,}", version=versions.title(batch.version)
    )
    if batch.refused:
        said += " " + ngettext(
            "{n} file could not be taken; the answers name it.",
            "{n} files could not be taken; the answers name them.",
            batch.refused,
        ).format(n=f"{batch.refused:,}")
    st.markdown(said)
    with st.container(horizontal=True, key="batch-actions"):
        if st.button(
            _("Start"),
            type="primary",
            disabled=not batch.images,
            key="start-batch",
            help=_("From then on it takes no more images."),
        ):
            with frame.refusals():
                _start(wb, me, batch)
        _delete(wb, me, batch, _("Discard"))
    if _drop_zone(f"/api/prediction-batches/{batch.id}/files/"):
        st.rerun()


def _drop_zone(to: str | upload.Made) -> upload.Uploaded | None:
    return upload.zone(f"upload-batch-{_round()}", to)


def _round() -> int:
    found: int = st.session_state.get(ROUND, 0)
    return found


def _start(wb: Workbench, me: auth.User, batch: Batch) -> None:
    """Raises what `prediction_jobs.start` raises."""
    prediction_jobs.start(wb, me, batch.id)
    st.session_state[ROUND] = _round() + 1
    st.query_params["batch"] = str(batch.id)  # its answers unfold when they are there
    st.rerun()


# --- what became of the others ---------------------------------------------------


def _list(wb: Workbench, me: auth.User, theme_id: int | None, collecting: Batch | None) -> None:
    before = frame.number_from_url("before")
    found = prediction_batches.page(wb, theme_id, limit=PAGE, before=before)
    shown = [batch for batch in found if collecting is None or batch.id != collecting.id]
    if not shown and before is None:
        if collecting is None and registry.newest(wb, theme_id, kind=VISION) is not None:
            st.caption(_("No batch yet. Choose a version and drop images above; the answers appear here."))
        return
    st.subheader(_("Batches"), anchor=False)
    active = tuple(batch.id for batch in shown if batch.active)
    frame.fragment(run_every=LIVE_SECONDS if active else None)(_cards)(
        wb, me, tuple(batch.id for batch in shown), active
    )
    with st.container(horizontal=True, key="batch-pages"):
        if before is not None and st.button(_("Newest"), key="newest-batches"):
            st.query_params.pop("before")
            st.rerun()
        if len(found) == PAGE and st.button(_("Older ones"), key="older-batches"):
            st.query_params["before"] = str(found[-1].id)
            st.rerun()


def _cards(wb: Workbench, me: auth.User, ids: tuple[int, ...], active: tuple[int, ...]) -> None:
    found = prediction_batches.some(wb, ids)
    if any(not batch.active for batch in found if batch.id in active):
        st.rerun()  # the whole page: it now shows what came out
    for batch in found:
        _card(wb, me, batch)


def _card(wb: Workbench, me: auth.User, batch: Batch) -> None:
    chosen = st.query_params.get("batch") == str(batch.id)
    may = prediction_batches.may_change(me, batch)
    with st.container(border=True, key=f"batch-{batch.id}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{frame.escape(batch.name)}** · {versions.title(batch.version)}", width="stretch")
            if batch.status != OPEN:
                st.markdown(badge(batch.status), width="content")
            st.caption(
                _("by {who}, {when}").format(who=frame.escape(batch.created_by), when=when(batch.created_at)),
                width="content",
            )
        if batch.active:
            _progress(wb, batch)
        elif batch.error:
            st.error(f"**{frame.escape(batch.error['message'])}** {frame.escape(batch.error['next_step'])}")
        else:
            st.markdown(_said(batch))
        with st.container(horizontal=True, vertical_alignment="center"):
            _actions(wb, me, batch, chosen, may)
        if chosen and batch.done and batch.result is not None:
            batch_answers.draw(wb, me, batch, batch.result)


def _progress(wb: Workbench, batch: Batch) -> None:
    now = batch.progress or {}
    place = prediction_jobs.place(wb, batch)
    if _stops(wb, batch):
        text = _("It is being stopped.")
    elif place is not None and place > 1:
        text = _("Place {n} in the queue.").format(n=place)
    elif batch.status != Status.RUNNING:
        text = _("It starts as soon as a worker is free.")
    elif not now.get("step"):
        text = _("The worker loads the model.")
    else:
        text = _("{n} of {all} images").format(n=f"{now['step']:,}", all=f"{now['steps']:,}")
        if now.get("eta_s") is not None:
            text += " · " + _("{time} left").format(time=duration(now["eta_s"]))
    st.progress(float(now.get("fraction", 0.0)), text=text)


def _stops(wb: Workbench, batch: Batch) -> bool:
    """Whether its job was asked to stop and has not done it yet."""
    return batch.run_id is not None and run_control.wished(wb, batch.run_id) == Wish.CANCEL


def _said(batch: Batch) -> str:
    """One line on a batch that has ended or was not started."""
    files = ngettext("{n} image", "{n} images", batch.images).format(n=f"{batch.images:,}")
    if batch.status == OPEN:
        return _("{images}; not started yet.").format(images=files)
    if not batch.done or batch.result is None:
        done = (batch.progress or {}).get("step", 0)
        return _("{images}, {n} of them predicted before it was stopped.").format(images=files, n=f"{done:,}")
    result = batch.result
    said = ngettext("{n} answer", "{n} answers", result["n"]).format(n=f"{result['n']:,}")
    if batch.started_at and batch.ended_at:
        took = duration((batch.ended_at - batch.started_at).total_seconds())
        said += " · " + _("took {time}").format(time=took)
    if result["errors"]:
        said += " · " + _("without an answer: {n}").format(n=f"{result['errors']:,}")
    return said


def _actions(wb: Workbench, me: auth.User, batch: Batch, chosen: bool, may: bool) -> None:
    if batch.done:
        if st.button(_("Hide the answers") if chosen else _("Show the answers"), key=f"show-{batch.id}"):
            if chosen:
                st.query_params.pop("batch")
            else:
                st.query_params["batch"] = str(batch.id)
            st.rerun()
        with st.popover(
            _("Download"),
            key=f"download-batch-{batch.id}",
            help=_("All answers with the probability of every label."),
        ):
            for name, text in (("csv", "CSV"), ("jsonl", "JSON Lines"), ("parquet", "Parquet")):
                address = f"/api/prediction-batches/{batch.id}/answers?format={name}"
                st.link_button(text, address, key=f"{name}-{batch.id}", width="stretch")
    if not may:
        return
    with frame.refusals():
        if batch.status == OPEN and st.button(
            _("Start"), key=f"start-batch-{batch.id}", help=_("From then on it takes no more images.")
        ):
            _start(wb, me, batch)
        if (
            batch.active
            and not _stops(wb, batch)
            and st.button(
                _("Stop"),
                key=f"cancel-batch-{batch.id}",
                help=_("What is predicted already is kept, so it can go on later."),
            )
        ):
            prediction_jobs.cancel(wb, me, batch.id)
            st.rerun()
        if batch.status in (Status.CANCELLED, Status.FAILED) and st.button(
            _("Resume"),
            key=f"resume-batch-{batch.id}",
            help=_("Goes on after the images that are predicted already."),
        ):
            prediction_jobs.resume(wb, me, batch.id)
            st.rerun()
    _delete(wb, me, batch, _("Delete"))


def _delete(wb: Workbench, me: auth.User, batch: Batch, text: str) -> None:
    with st.popover(text, key=f"delete-{batch.id}"):  # a tooltip would cover what it asks
        st.markdown(
            _("**{name}** is deleted for good, with its files and answers. Images of a theme stay.").format(
                name=frame.escape(batch.name)
            )
        )
        if st.button(_("Delete for good"), type="primary", key=f"yes-delete-{batch.id}"):
            with frame.refusals():
                prediction_batches.delete(wb, me, batch.id)
                if st.query_params.get("batch") == str(batch.id):
                    st.query_params.pop("batch")
                st.session_state[ROUND] = _round() + 1
                st.rerun()
