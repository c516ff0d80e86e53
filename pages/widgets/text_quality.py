"""Is a text dataset fit to learn from: the gate, what was found, each with its fix, and the log."""

from __future__ import annotations

import streamlit as st

from core import auth
from core.datasets import check_jobs, decisions, findings, repair, store, uploads
from core.datasets.findings import Standing
from core.datasets.store import Dataset, Version
from core.errors import VeritrainError
from core.i18n import gettext as _
from core.i18n import ngettext
from core.quality.texts import gate
from core.quality.texts.findings import SEVERE
from core.quality.texts.gate import Counts
from core.quality.texts.kinds import (
    CLEAN,
    COPIES,
    KINDS,
    LEAKS,
    MASK,
    REMOVE,
    UNALIGNED,
    Kind,
    advice,
    meaning,
    title,
)
from core.workbench import Workbench
from pages.widgets import frame, text_rows, text_rules, text_upload, verdict
from pages.widgets.runs import when
from pages.widgets.trust import FORMATS

EXAMPLES = 3
TEXT = 160


def draw(wb: Workbench, me: auth.User, dataset: Dataset, version: Version) -> None:
    standing = findings.standing(wb, version)
    newest = version.number == dataset.newest.number
    _verdict(standing, running=newest and check_jobs.state(wb, dataset.id).running)
    if newest:
        _checking(wb, me, dataset.id)
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
                text_rules.override(wb, me, dataset, version)
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
def _checking(wb: Workbench, me: auth.User, dataset_id: int) -> None:
    """The check that runs as a job: started, watched, and how old its word is."""
    state = check_jobs.state(wb, dataset_id)
    if st.session_state.get("was-checking-texts") and not state.running:
        st.session_state["was-checking-texts"] = False
        st.rerun()
    st.session_state["was-checking-texts"] = state.running
    with st.container(horizontal=True, vertical_alignment="center", key="check-bar"):
        if state.running:
            st.progress(state.progress, text=_("Checking …"))
            if me.may(auth.LABELER) and st.button(
                _("Stop"), key="stop-check", help=_("What was found before stays.")
            ):
                with frame.refusals():
                    check_jobs.cancel(wb, me, dataset_id)
            return
        standing = findings.standing(wb, store.version(wb, dataset_id))
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
        if state.error:
            st.caption(frame.escape(f"{state.error['message']} {state.error['next_step']}"))
        elif standing.checked_at is not None:
            text = _("Checked {when}.").format(when=when(standing.checked_at))
            if standing.stale:
                text += " " + _("The thresholds have changed since.")
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
        for version in store.versions(wb, dataset.id):
            broken = (version.source or {}).get("broken", [])
            for row in broken[:EXAMPLES]:
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
    kept = sum(standing.kept.values())
    if kept:
        st.caption(
            ngettext(
                "One row was called fine as it is.", "{n} rows were called fine as they are.", kept
            ).format(n=f"{kept:,}")
        )


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
            if st.button(_fix_title(fix), key=f"fix-{kind.name}", help=_("Shows first what would change.")):
                _ask(wb, me, dataset, fix, kind.name)
            if (
                fix != REMOVE
                and fix not in (COPIES, LEAKS)
                and st.button(
                    _("Remove the rows"), key=f"remove-{kind.name}", help=_("Shows first what would change.")
                )
            ):
                _ask(wb, me, dataset, REMOVE, kind.name)
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
            decisions.keep(wb, me, dataset.id, kind.name)
            st.rerun()


def _fix_title(fix: str) -> str:
    return {
        REMOVE: _("Remove the rows"),
        COPIES: _("Keep one of each"),
        MASK: _("Mask all personal data"),
        CLEAN: _("Repair the characters"),
        LEAKS: _("Remove what leaks"),
    }[fix]


@frame.dialog(_("What would change"), width="large")
def _ask(wb: Workbench, me: auth.User, dataset: Dataset, fix: str, kind: str) -> None:
    best = repair.FIRST
    if fix == COPIES:
        best = st.segmented_control(
            _("Of each group stays"),
            list(repair.BEST),
            default=repair.FIRST,
            required=True,
            format_func={repair.FIRST: _("the first"), repair.LONGEST: _("the longest")}.__getitem__,
            key="best-of-group",
            help=_("Where one of them is in test or validation, that one stays."),
        )
    if fix in (COPIES, MASK):  # equal and nearly equal ones form the same groups; who masks, masks all of it
        kind = ""
    try:
        shown = repair.preview(wb, dataset.id, fix, kind or None, best=best)
    except VeritrainError as error:
        frame.refuse(error)
        return
    touched = shown.removed + shown.changed
    if not touched:
        st.success(_("Nothing is left to do here."))
        return
    parts = []
    if shown.removed:
        parts.append(ngettext("One row goes.", "{n} rows go.", shown.removed).format(n=f"{shown.removed:,}"))
    if shown.changed:
        parts.append(
            ngettext("One row changes.", "{n} rows change.", shown.changed).format(n=f"{shown.changed:,}")
        )
    parts.append(_("It becomes a new version; the old one stays as it is."))
    st.markdown(" ".join(parts))
    if shown.left:
        st.caption(
            ngettext(
                "One row cannot be repaired this way; correct it by hand.",
                "{n} rows cannot be repaired this way; correct them by hand.",
                shown.left,
            ).format(n=f"{shown.left:,}")
        )
    for example in shown.examples:
        with st.container(border=True, key=f"fix-example-{example.row_id}"):
            _before_after(dataset, example)
    if st.button(_fix_title(fix), type="primary", key="yes-fix"):
        with frame.refusals(), st.spinner(_("Writing the new version …")):
            repair.apply(wb, me, dataset.id, fix, kind or None, best=best, parent=shown.version.id)
            text_upload.check(wb, me, dataset.id)
            st.rerun()


def _before_after(dataset: Dataset, example: repair.Example) -> None:
    st.caption(_("Row {n}").format(n=example.row_id))
    for name, before in example.before.items():
        after = example.after.get(name, "") if example.after is not None else ""
        if example.after is not None and after == before:
            continue
        st.caption(text_upload.title(name, dataset.shape))
        st.text(frame.shorten(before, TEXT))
        if example.after is not None:
            st.text(f"→ {frame.shorten(after, TEXT)}")


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
