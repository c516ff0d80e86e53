"""What the gate of a text dataset asks for, who let it pass all the same, and the log of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core import auth
from core.datasets import decisions, findings, permits, words
from core.datasets.findings import Standing
from core.datasets.store import Dataset, Version
from core.i18n import gettext as _
from core.quality.texts.kinds import KINDS, title
from core.workbench import Workbench
from pages.widgets import frame, verdict


def thresholds(wb: Workbench, me: auth.User, dataset: Dataset, standing: Standing) -> None:
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


def allowed(wb: Workbench, version: Version) -> None:
    """Who allowed a training in spite of FAIL, and whether that still counts."""
    given = permits.given(wb, version)
    if given is not None:
        show = st.info if given.stands else st.warning
        show(frame.escape(words.allowed(given)))


def override(wb: Workbench, me: auth.User, dataset: Dataset) -> None:
    with st.form("override-gate", border=False):
        reason = st.text_area(
            _("Why this version may be trained on"),
            max_chars=permits.MAX_REASON,
            help=_(
                "It stays in the log, with your name. It counts for this version and for what fails now, no more."
            ),
        )
        if st.form_submit_button(_("Allow it")):
            with frame.refusals():
                permits.override(wb, me, dataset.id, reason)
                st.rerun()


def log(wb: Workbench, dataset: Dataset) -> None:
    entries = findings.entries(wb, dataset.id)
    if not entries:
        st.caption(_("Nothing yet."))
        return
    verdict.trend(
        (entry.at, entry.score, _("version {n}").format(n=entry.version))
        for entry in reversed(entries)
        if entry.score is not None
    )
    actions = {
        "check": _("checked"),
        "fix": _("repaired"),
        "edit": _("a row corrected"),
        "keep": _("called fine"),
        "reopen": _("opened again"),
        "rules": _("thresholds changed"),
        "override": _("allowed in spite of FAIL"),
    }
    judged = {True: _("PASS"), False: _("FAIL"), None: ""}
    st.dataframe(
        {
            _("When"): [entry.at for entry in entries],
            _("Who"): [entry.person or _("Veritrain") for entry in entries],
            _("What"): [actions.get(entry.action, entry.action) for entry in entries],
            _("Version"): [entry.version for entry in entries],
            _("Finding"): [_found(entry.detail) for entry in entries],
            _("Rows"): [entry.detail.get("rows") for entry in entries],
            _("Gate"): [judged[entry.passed] for entry in entries],
            _("Score"): [entry.score for entry in entries],
            _("Reason"): [entry.detail.get("reason", "") for entry in entries],
        },
        hide_index=True,
        key="quality-log",
    )


def _found(detail: Mapping[str, Any]) -> str:
    """The finding that a line of the log is about; "" where it is about none."""
    name = str(detail.get("finding") or detail.get("kind"))
    return title(name) if name in KINDS else ""
