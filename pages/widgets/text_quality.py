"""Is a text dataset fit to learn from: the gate, what was found, each with its fix, and the log."""

from __future__ import annotations

import streamlit as st

from core import auth
from core.datasets import check_jobs, decisions, findings, store, uploads, words
from core.datasets.findings import Standing
from core.datasets.store import Dataset, Version
from core.i18n import gettext as _
from core.i18n import ngettext
from core.quality.texts import gate
from core.quality.texts.findings import SEVERE
from core.quality.texts.gate import Counts
from core.quality.texts.kinds import (
    COPIES,
    KINDS,
    LEAKS,
    REMOVE,
    UNALIGNED,
    Kind,
    advice,
    meaning,
    title,
)
from core.workbench import Workbench
from pages.widgets import frame, text_fixes, text_rows, text_rules, text_upload, verdict
from pages.widgets.runs import when
from pages.widgets.trust import FORMATS

EXAMPLES = 3
TEXT = 160


def draw(wb: Workbench, me: auth.User, dataset: Dataset, version: Version) -> None:
    standing = findings.standing(wb, version)
    newest = version.number == dataset.newest.number
    state = check_jobs.state(wb, dataset.id)
    _verdict(standing, running=state.running and state.version_id == version.id)
    if not standing.gate.passed:
        text_rules.allowed(wb, version)
    if newest:
        _checking(wb, me, standing)
        _broken(wb, me, dataset, standing)
    _findings(wb, me, dataset, standing, newest=newest)
    if standing.languages:
        with st.expander(_("Languages of the columns")):
            _languages(dataset, standing)
    if standing.not_checked:
        with st.expander(_("What was not checked, and why")):
            for sentence in standing.not_checked:
                st.markdown(frame.escape(_(sentence)))
    if newest:
        with st.expander(_("Thresholds")):
            text_rules.thresholds(wb, me, dataset, standing)
        if not standing.gate.passed and me.may(auth.ADMIN):
            with st.expander(_("Train in spite of FAIL")):
                text_rules.override(wb, me, dataset)
    with st.expander(_("Log of checks and decisions")):
        text_rules.log(wb, dataset)


def report(dataset: Dataset, version: Version) -> None:
    """The trust report of the version, one link a format."""
    with st.popover(
        _("Trust report"),
        key="trust-report",
        help=_("What is known of these texts and what is not, as a file to keep or to send."),
    ):
        for format in FORMATS:
            st.link_button(
                _("Report as {format}").format(format=format.upper()),
                f"/api/v1/admin/training/datasets/{dataset.id}/quality/report.{format}?version={version.number}",
            )


def _verdict(standing: Standing, *, running: bool) -> None:
    counts = standing.counts
    if counts is None:
        sentence = (
            _("**It is being checked.**")
            if running
            else _("**This version was not checked yet.** Press “Check now”.")
        )
    elif standing.gate.passed:
        sentence = _("**These texts are fit for a training.**")
    else:
        sentence = _("**Repair what is marked, then train.**")
    judged = counts or Counts(0)
    verdict.draw(
        standing.gate if counts else None,
        sentence,
        title=gate.title,
        said=lambda line: gate.said(line, judged),
        advice=lambda line: gate.advice(line, judged),
    )


@frame.fragment(run_every=2)
def _checking(wb: Workbench, me: auth.User, standing: Standing) -> None:
    """The check that runs as a job: started, watched, and how old its word is."""
    dataset_id = standing.version.dataset_id
    state = check_jobs.state(wb, dataset_id)
    ended = st.session_state.get("was-checking-texts", False) and not state.running
    if ended and not text_upload.unchecked(wb, me, dataset_id) and not frame.dialog_is_open():
        st.session_state["was-checking-texts"] = False
        st.rerun()
    st.session_state["was-checking-texts"] = state.running or ended
    with st.container(horizontal=True, vertical_alignment="center", key="check-bar"):
        if state.running:
            st.progress(state.progress, text=_("Checking …"))
            if me.may(auth.LABELER) and st.button(
                _("Stop"), key="stop-check", help=_("What was found before stays.")
            ):
                with frame.refusals():
                    check_jobs.cancel(wb, me, dataset_id)
            return
        if me.may(auth.LABELER) and st.button(
            _("Check now"),
            key="check-now",
            type="primary" if standing.stale else "secondary",
            help=_(
                "Looks for personal data, copies, leaks, other languages and more. Rows seen before go fast."
            ),
        ):
            with frame.refusals():
                check_jobs.start(wb, me, dataset_id)
                st.rerun(scope="fragment")
        if (
            me.may(auth.LABELER)
            and standing.since
            and st.button(_("Judge all together"), key="check-anew", help=words.went_on(standing))
        ):
            with frame.refusals():
                check_jobs.start(wb, me, dataset_id, anew=True)
                st.rerun(scope="fragment")
        if state.error:
            st.caption(frame.escape(f"{state.error['message']} {state.error['next_step']}"))
        elif standing.checked_at is not None:
            text = _("Checked {when}.").format(when=when(standing.checked_at))
            if standing.stale:
                text += " " + _("The thresholds have changed since.")
            if standing.since:
                text += " " + _("Judged together: {n} pairs; {since} came or went after that.").format(
                    n=f"{standing.together:,}", since=f"{standing.since:,}"
                )
            st.caption(text)
        elif standing.open:
            st.caption(
                _("The texts have changed since the last check; what it found and still holds is below.")
            )


def _broken(wb: Workbench, me: auth.User, dataset: Dataset, standing: Standing) -> None:
    if not standing.broken:
        return
    with st.container(border=True, key="broken-rows"):
        with st.container(horizontal=True, vertical_alignment="center", key="broken-head"):
            verdict.finding(SEVERE, _("Rows of the file that cannot be read"), standing.broken)
            if me.may(auth.LABELER) and st.button(
                _("Leave them out"), key="leave-out", help=_("The log remembers who said so.")
            ):
                with frame.refusals():
                    decisions.leave_out(wb, me, dataset.id)
                    st.rerun()
        for upload in findings.broken(wb, standing.version):
            with st.expander(f"{frame.escape(upload.file)} · {upload.total:,}"):
                for row in upload.rows:
                    st.caption(frame.escape(uploads.sentence(row)))


def _findings(wb: Workbench, me: auth.User, dataset: Dataset, standing: Standing, *, newest: bool) -> None:
    open_kinds = [kind for kind in KINDS.values() if standing.open.get(kind.name)]
    if not open_kinds and standing.counts is None:
        return
    st.subheader(_("Findings"), anchor=False)
    if not open_kinds:
        st.caption(_("None."))
    for kind in open_kinds:
        with st.container(border=True, key=f"finding-{kind.name}"):
            _one_kind(wb, me, dataset, standing, kind, newest=newest)
    if any(standing.kept.values()):
        with st.expander(_("Called fine as they are")):
            _kept(wb, me, dataset, standing, newest=newest)


def _kept(wb: Workbench, me: auth.User, dataset: Dataset, standing: Standing, *, newest: bool) -> None:
    """What people called fine, and the way back."""
    for name in (name for name in KINDS if standing.kept.get(name)):
        kind = KINDS[name]
        with st.container(horizontal=True, vertical_alignment="center", key=f"kept-{name}"):
            verdict.finding(kind.severity, title(name), standing.kept[name])
            if (
                newest
                and me.may(auth.TRAINER if kind.line else auth.LABELER)
                and st.button(
                    _("Open again"), key=f"reopen-{name}", help=_("They are listed and counted again.")
                )
            ):
                with frame.refusals():
                    decisions.keep(wb, me, dataset.id, name, keep=False, version_id=standing.version.id)
                    st.rerun()


def _one_kind(
    wb: Workbench, me: auth.User, dataset: Dataset, standing: Standing, kind: Kind, *, newest: bool
) -> None:
    n = standing.open[kind.name]
    with st.container(horizontal=True, vertical_alignment="center", key=f"head-{kind.name}"):
        verdict.finding(kind.severity, title(kind.name), n)
        query: dict[str, object] = {"dataset": dataset.id, "part": "rows", "finding": kind.name}
        if not newest:
            query["version"] = standing.version.number
        frame.link(_("Open the rows"), "dataset.py", query)
        if newest and me.may(auth.LABELER):
            fix = kind.fix
            if st.button(
                text_fixes.title(fix), key=f"fix-{kind.name}", help=_("Shows first what would change.")
            ):
                text_fixes.ask(wb, me, dataset, standing.version, fix, kind.name)
            if (
                fix != REMOVE
                and fix not in (COPIES, LEAKS)
                and st.button(
                    _("Remove the rows"), key=f"remove-{kind.name}", help=_("Shows first what would change.")
                )
            ):
                text_fixes.ask(wb, me, dataset, standing.version, REMOVE, kind.name)
    st.caption(f"{meaning(kind.name)} {advice(kind.name)}")
    page = findings.found(wb, standing.version, kind.name, limit=EXAMPLES)
    rows = {
        row.row_id: row for row in store.page(wb, standing.version, ids=[f.row_id for f in page.items]).rows
    }
    for found in page.items:
        row = rows.get(found.row_id)
        if row is None:
            continue
        both = kind.line == UNALIGNED or kind.name.startswith("lost-")
        text = (not both and row.record.text(found.where)) or " → ".join(t for _n, t in row.record.texts())
        sentence, shown = (
            frame.escape(text_rows.said(found, dataset.shape)),
            frame.escape(frame.shorten(text, TEXT)),
        )
        st.markdown(f"**{found.row_id}** · {sentence}  \n{shown}")
    may_decide = me.may(auth.TRAINER) if kind.line else me.may(auth.LABELER)
    if (
        newest
        and kind.may_be_fine
        and may_decide
        and st.button(
            ngettext("It is fine", "All {n} are fine", n).format(n=f"{n:,}"),
            key=f"fine-{kind.name}",
            help=_("They are no longer listed here, and the log remembers who said so."),
        )
    ):
        with frame.refusals():
            decisions.keep(wb, me, dataset.id, kind.name, version_id=standing.version.id)
            st.rerun()


def _languages(dataset: Dataset, standing: Standing) -> None:
    st.dataframe(
        {
            _("Text"): [text_upload.title(name, dataset.shape) for name in standing.languages],
            _("Languages"): [
                ", ".join(f"{language} {n:,}" for language, n in counts.items())
                for counts in standing.languages.values()
            ],
        },
        hide_index=True,
        key="languages",
    )
