"""Is a text dataset fit to learn from: the gate, what was found, each with its fix, and the log."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st
from core.datasets.findings import Standing
from core.quality.texts.kinds import CLEAN, COPIES, KINDS, LEAKS, MASK, REMOVE, Kind, advice, meaning, title

from core import auth
from core.datasets import check_jobs, decisions, findings, permits, repair, store, uploads, vault
from core.datasets.store import Dataset, Version
from core.errors import VeritrainError
from core.i18n import gettext as _
from core.i18n import ngettext
from core.quality.texts import gate, masking
from core.quality.texts.findings import HINT, NOTABLE, SEVERE
from core.workbench import Workbench
from pages.widgets import charts, frame, text_rows, text_upload
from pages.widgets.runs import when

EXAMPLES = 3
TEXT = 160
BADGE = {SEVERE: "red", NOTABLE: "orange", HINT: "gray"}


def draw(wb: Workbench, me: auth.User, dataset: Dataset, version: Version) -> None:
    standing = findings.standing(wb, version)
    newest = version.number == dataset.newest.number
    _verdict(standing)
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
            _thresholds(wb, me, dataset, standing)
        if not standing.gate.passed and me.may(auth.ADMIN):
            with st.expander(_("Train in spite of FAIL")):
                _override(wb, me, dataset, version)
    with st.expander(_("Log of checks and decisions")):
        _log(wb, dataset)


def _verdict(standing: Standing) -> None:
    passed, checked = standing.gate.passed, standing.counts is not None
    colour, word = (
        ("green", _("PASS")) if passed else ("red", _("FAIL")) if checked else ("gray", _("not checked"))
    )
    with st.container(border=True, key="gate"):
        with st.container(horizontal=True, vertical_alignment="center", key="gate-head"):
            st.markdown(f"### :{colour}-badge[{word}]", width="content")
            st.markdown(
                _("**These texts are fit for a training.**")
                if passed
                else _("**Repair what is marked, then train.**")
                if checked
                else _("**This version was not checked yet.** Press “Check now”."),
                width="stretch",
            )
            if checked:
                st.metric(_("Score"), f"{standing.gate.score}", help=_("Weighted over all lines, 0 to 100."))
        if standing.counts is None:
            return
        for line in standing.gate.lines:
            mark = ":material/check_circle:" if line.passed else ":material/cancel:"
            text = f":{'green' if line.passed else 'red'}[{mark}] **{gate.title(line)}** · "
            text += frame.escape(gate.said(line, standing.counts))
            if not line.passed:
                text += f"  \n{gate.advice(line, standing.counts)}"
            st.markdown(text)


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
            st.markdown(
                f":red-badge[{_('severe')}] **{_('Rows of the file that cannot be read')}** · {standing.broken:,}",
                width="stretch",
            )
            if me.may(auth.TRAINER) and st.button(
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
    words = {
        SEVERE: _("severe"),
        NOTABLE: _("notable"),
        HINT: _("hint"),
    }
    with st.container(horizontal=True, vertical_alignment="center", key=f"head-{kind.name}"):
        st.markdown(
            f":{BADGE[kind.severity]}-badge[{words[kind.severity]}] **{title(kind.name)}** · {n:,}",
            width="stretch",
        )
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
        text = row.record.text(found.where) or row.record.whole()
        st.markdown(
            f"**{found.row_id}** · {frame.escape(found.text(_))}  \n{frame.escape(frame.shorten(text, TEXT))}"
        )
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
        MASK: _("Mask"),
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
        # Copies that are equal and those that nearly are form the same groups.
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
            check_jobs.start(wb, me, dataset.id)
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


def _thresholds(wb: Workbench, me: auth.User, dataset: Dataset, standing: Standing) -> None:
    rules = standing.rules
    with st.form("text-rules", border=False):
        left, right = st.columns(2)
        values: dict[str, float | int] = {}
        if dataset.shape == "parallel":
            values["least_aligned"] = (
                left.number_input(
                    _("Pairs that belong together, at least (%)"), 0.0, 100.0, rules.least_aligned * 100,
                    help=_("Share of the pairs whose target says what the source says."),
                ) / 100
            )  # fmt: skip
        values["most_copies"] = (
            right.number_input(
                _("Copies, at most (%)"), 0.0, 100.0, rules.most_copies * 100,
                help=_("Share of the rows that say the same as another one, or nearly."),
            ) / 100
        )  # fmt: skip
        values["least_consistent"] = (
            left.number_input(
                _("Texts in the language of their column, at least (%)"),
                0.0, 100.0, rules.least_consistent * 100,
                help=_("The language of a column is that of most of its texts."),
            ) / 100
        )  # fmt: skip
        values["most_personal"] = right.number_input(
            _("Rows with personal data, at most"), 0, 1_000_000, rules.most_personal,
            help=_("Not counting what is masked or called fine."),
        )  # fmt: skip
        values["most_unreadable"] = left.number_input(
            _("Rows that cannot be read, at most"), 0, 1_000_000, rules.most_unreadable,
            help=_("Broken rows of the file, empty ones, and garbled characters."),
        )  # fmt: skip
        values["most_leaks"] = right.number_input(
            _("Rows that repeat what is tested, at most"), 0, 1_000_000, rules.most_leaks,
            help=_("Each makes the mark of a model better than the model."),
        )  # fmt: skip
        values["likeness"] = (
            left.slider(
                _("Copies are alike by at least (%)"), 50.0, 100.0, rules.likeness * 100, step=0.5,
                help=_("Lower finds more copies, and more pairs that are none. Counts from the next check on."),
            ) / 100
        )  # fmt: skip
        values["longest"] = right.number_input(
            _("Longest row (characters)"), 100, 10_000_000, rules.longest, step=1_000,
            help=_("Longer ones are a finding. Counts from the next check on."),
        )  # fmt: skip
        if st.form_submit_button(_("Save"), disabled=not me.may(auth.TRAINER)):
            with frame.refusals():
                decisions.set_rules(wb, me, dataset.id, values)
                st.rerun()


def _override(wb: Workbench, me: auth.User, dataset: Dataset, version: Version) -> None:
    given = permits.overridden(wb, version)
    if given:
        st.info(
            _("{person} allowed it: “{reason}”").format(
                person=frame.escape(given.person or "–"), reason=frame.escape(given.reason)
            )
        )
    with st.form("override-gate", border=False):
        reason = st.text_area(
            _("Why this version may be trained on"),
            max_chars=permits.MAX_REASON,
            help=_("It stays in the log, with your name. It counts for this version alone."),
        )
        if st.form_submit_button(_("Allow it")):
            with frame.refusals():
                permits.override(wb, me, dataset.id, reason)
                st.rerun()


def _log(wb: Workbench, dataset: Dataset) -> None:
    entries = findings.entries(wb, dataset.id)
    if not entries:
        st.caption(_("Nothing yet."))
        return
    scored = [entry for entry in reversed(entries) if entry.score is not None and entry.version]
    if len(scored) > 1:
        figure = go.Figure(
            go.Scatter(
                x=[entry.at for entry in scored],
                y=[entry.score for entry in scored],
                text=[_("version {n}").format(n=entry.version) for entry in scored],
                mode="lines+markers",
                line={"color": charts.COLORS[0], "shape": "hv"},
            )
        )
        figure.update_layout(**{**charts.LAYOUT, "height": 180}, uirevision="score")
        figure.update_yaxes(range=[0, 104], title=_("score"))
        st.plotly_chart(figure, key="score-trend", config=charts.CONFIG)
    actions = {
        "check": _("checked"),
        "fix": _("repaired"),
        "edit": _("a row corrected"),
        "keep": _("called fine"),
        "reopen": _("opened again"),
        "rules": _("thresholds changed"),
        "override": _("allowed in spite of FAIL"),
    }
    verdict = {True: _("PASS"), False: _("FAIL"), None: ""}
    st.dataframe(
        {
            _("When"): [entry.at for entry in entries],
            _("Who"): [entry.person or _("Veritrain") for entry in entries],
            _("What"): [actions.get(entry.action, entry.action) for entry in entries],
            _("Version"): [entry.version for entry in entries],
            _("Finding"): [
                title(name)
                if (name := entry.detail.get("kind") or entry.detail.get("finding")) in KINDS
                else ""
                for entry in entries
            ],
            _("Rows"): [entry.detail.get("rows") for entry in entries],
            _("Gate"): [verdict[entry.passed] for entry in entries],
            _("Score"): [entry.score for entry in entries],
            _("Reason"): [entry.detail.get("reason", "") for entry in entries],
        },
        hide_index=True,
        key="quality-log",
    )


# --- the rows -------------------------------------------------------------------


def rows(wb: Workbench, me: auth.User, dataset: Dataset, version: Version) -> None:
    """The table of rows, found also by what was found in them, and the one that a person picked."""
    standing = findings.standing(wb, version)
    word, split = text_rows.filters()
    kinds = [name for name in KINDS if standing.open.get(name)]
    wanted = st.query_params.get("finding", "")
    ids: list[int] | None = None
    notes: dict[int, str] | None = None
    if kinds:
        kind = st.selectbox(
            _("Finding"),
            ["", *kinds],
            kinds.index(wanted) + 1 if wanted in kinds else 0,
            format_func=lambda name: f"{title(name)} ({standing.open[name]:,})" if name else _("all rows"),
            key=f"row-finding-{wanted}",
            help=_("Only the rows in which this was found."),
        )
        if kind != wanted:
            st.query_params["finding"] = kind or ""
        if kind:
            ids = findings.rows(wb, version, kind)
            notes = {
                found.row_id: found.text(_)
                for found in findings.found(wb, version, kind, limit=store.MAX_PAGE).items
            }
    row = text_rows.draw(wb, dataset, version, word=word, split=split, ids=ids, notes=notes)
    if row is None:
        st.caption(_("Mark a row at its left edge to see all of it."))
        return
    with st.container(border=True, key="whole-row"):
        _whole(wb, me, dataset, version, row)


def _whole(wb: Workbench, me: auth.User, dataset: Dataset, version: Version, row: text_rows.DataRow) -> None:
    newest = version.number == dataset.newest.number
    with st.container(horizontal=True, vertical_alignment="center", key="row-head"):
        st.markdown(f"**{_('Row {n}').format(n=row.row_id)}**", width="stretch")
        if (
            newest
            and me.may(auth.LABELER)
            and st.button(
                _("Correct"), key=f"correct-{row.row_id}", help=_("Write its texts anew, as a new version.")
            )
        ):
            _edit(wb, me, dataset, version, row)
        if (
            me.may(auth.ADMIN)
            and masking.tokens(row.record)
            and st.button(
                _("Show what is masked"),
                key=f"unmask-{row.row_id}",
                help=_("Who looked is kept in the log of access."),
            )
        ):
            _unmask(wb, me, dataset, version, row.row_id)
    text_rows.whole(row, dataset.shape)


@frame.dialog(_("Correct the row"), width="large")
def _edit(wb: Workbench, me: auth.User, dataset: Dataset, version: Version, row: text_rows.DataRow) -> None:
    with st.form("edit-row", border=False):
        texts = {
            name: st.text_area(
                text_upload.title(name, dataset.shape), text, key=f"edit-{row.row_id}-{name}", height=120,
                help=_("As the model shall learn it."),
            )
            for name, text in text_rows.editable(row.record)
        }  # fmt: skip
        if st.form_submit_button(_("Save"), type="primary"):
            with frame.refusals():
                repair.edit(wb, me, dataset.id, row.row_id, texts, parent=version.id)
                st.rerun()


@frame.dialog(_("What is masked"), width="large")
def _unmask(wb: Workbench, me: auth.User, dataset: Dataset, version: Version, row_id: int) -> None:
    with frame.refusals():
        text_rows.whole(vault.unmask(wb, me, dataset.id, row_id, version.number), dataset.shape)
