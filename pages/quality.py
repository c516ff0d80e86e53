"""What is wrong with a theme's images, each with a fix, and whether they are fit for a training."""

from __future__ import annotations

import streamlit as st

from core import auth, images, workbench
from core.i18n import gettext as _
from core.i18n import ngettext
from core.quality import (
    check_jobs,
    decisions,
    doubts,
    findings,
    gate,
    kinds,
    repair,
    trust_words,
    turned,
    upright,
)
from core.quality.findings import Standing
from core.quality.kinds import KINDS
from pages.widgets import (
    drift,
    frame,
    quality_answers,
    quality_frozen,
    quality_groups,
    quality_map,
    quality_repairs,
    quality_rules,
    steps,
    trust,
    verdict,
)
from pages.widgets.pictures import thumbnails
from pages.widgets.quality_repairs import SHOWN
from pages.widgets.runs import when

theme = frame.theme_from_url(workbench.current())
wb, me = frame.open_page(
    title=_("Quality"),
    crumbs=frame.of_theme(theme),
    help=_("What a model learns from must be right; here you see what is not, and repair it."),
)
steps.draw(wb, me, theme, "quality")
names = {label.id: label.name for label in theme.labels}
may_edit, may_label = me.may(auth.TRAINER), me.may(auth.LABELER)
DOUBTS = 6
ACTIONS = {
    "check": _("checked"),
    "fix": _("repaired"),
    "keep": _("called fine"),
    "reopen": _("opened again"),
    "rules": _("thresholds changed"),
    "freeze": _("test set frozen"),
    "override": _("trained in spite of FAIL"),
}


def gate_of(found: Standing) -> None:
    doubted = found.findings["mislabelled"]
    if not found.gate.passed:
        sentence = _("**Repair what is marked, then train.**")
    elif check_jobs.state(wb, theme.id).checked_at is None:
        sentence = _(
            "**Nothing stands in the way of a training.** The labels were not checked yet: press “Check now”."
        )
    elif doubted:
        sentence = ngettext(
            "**Nothing stands in the way of a training.** {n} label is doubted: look at it first.",
            "**Nothing stands in the way of a training.** {n} labels are doubted: look at the most suspicious first.",
            doubted,
        ).format(n=f"{doubted:,}")
    else:
        sentence = _("**These images are fit for a training.**")
    verdict.draw(
        found.gate,
        sentence,
        title=gate.title,
        said=lambda line: gate.said(line, found.counts),
        advice=gate.advice,
    )


def name(label_id: int | None) -> str:
    return frame.shorten(names.get(label_id or 0, "–"), 14)


@frame.fragment(run_every=2)
def checking() -> None:
    """The check that runs as a job: started, watched, and how old its word is."""
    state = check_jobs.state(wb, theme.id)
    if st.session_state.get("was-checking") and not state.running and not frame.dialog_is_open():
        st.session_state["was-checking"] = False
        st.rerun()
    st.session_state["was-checking"] = state.running or (
        st.session_state.get("was-checking", False) and frame.dialog_is_open()
    )
    with st.container(horizontal=True, vertical_alignment="center", key="check-bar"):
        if state.running:
            st.progress(state.progress, text=_("Checking …"))
            if may_label and st.button(_("Stop"), key="stop-check", help=_("What was found before stays.")):
                with frame.refusals():
                    check_jobs.cancel(wb, me, theme.id)
            return
        if may_label and st.button(
            _("Check now"),
            key="check-now",
            type="primary" if state.checked_at is None else "secondary",
            help=_(
                "Opens every file and asks, by models that did not see an image, whether its label is right."
            ),
        ):
            with frame.refusals():
                check_jobs.start(wb, me, theme.id)
                st.rerun(scope="fragment")
        if (
            may_label
            and state.since
            and st.button(_("Judge all together"), key="check-anew", help=trust_words.went_on(state))
        ):
            with frame.refusals():
                check_jobs.start(wb, me, theme.id, anew=True)
                st.rerun(scope="fragment")
        if state.accuracy is not None and state.accuracy >= doubts.SEES_ENOUGH:
            frame.link(
                _("All labels, the most suspicious first"),
                "theme.py",
                {"theme": theme.id, "state": "labelled", "sort": "suspicious"},
                help=_(
                    "Not every wrong label has a doubt of its own: go on down this order for as long as you find any."
                ),
            )
        if state.error:
            st.caption(frame.escape(f"{state.error['message']} {state.error['next_step']}"))
        elif state.checked_at is None:
            st.caption(
                _(
                    "Labels were not checked yet. Blanks, copies and leaks are found by themselves at each upload."
                )
            )
        else:
            text = _("Labels checked {when}.").format(when=when(state.checked_at))
            if state.changed:
                text += " " + _("{n} images came or were labelled since.").format(n=f"{state.changed:,}")
            if state.since:
                text += " " + _("Judged together: {n} images; {since} came or went after that.").format(
                    n=f"{state.together:,}", since=f"{state.since:,}"
                )
            if state.accuracy is not None and state.accuracy < doubts.SEES_ENOUGH:
                text += " " + _(
                    "Without a trained model too little is known of these pictures to doubt a label: train one, "
                    "then check again."
                )
            if state.upright is not None and state.upright < turned.SEES_ENOUGH:
                text += " " + _(
                    "Not checked: which way up pictures belong. The side that is up was told for {share} of them only."
                ).format(share=f"{state.upright * 100:.0f} %")
            st.caption(text)


def findings_of(found: Standing) -> None:
    open_kinds = [kind for kind in KINDS.values() if found.findings[kind.name]]
    st.subheader(_("Findings"), anchor=False)
    if not open_kinds:
        st.caption(_("None. New images are looked at when they come in."))
    for kind in open_kinds:
        with st.container(border=True, key=f"finding-{kind.name}"):
            one_kind(kind, found.findings[kind.name])
    if kept := sum(found.kept.values()):
        with st.expander(
            ngettext(
                "{n} finding was called fine as it is", "{n} findings were called fine as they are", kept
            ).format(n=f"{kept:,}"),
            key="called-fine",
        ):
            quality_answers.called_fine(wb, me, theme)


def one_kind(kind: kinds.Kind, n: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"head-{kind.name}"):
        verdict.finding(kind.severity, kinds.title(kind.name), n)
        frame.link(
            _("Open in the grid"), "theme.py", {"theme": theme.id, "finding": kind.name, "sort": "finding"}
        )
        if kind.name in ("leak", "left_out") and may_edit:
            if st.button(
                _("Put look-alikes on one side"),
                key="one-side" if kind.name == "leak" else "one-side-left-out",
                help=_("Shows first what would move."),
            ):
                quality_repairs.one_side(wb, me, theme)
        elif (
            kind.name == "twin"
            and may_edit
            and st.button(
                _("Keep the best of each"), key="keep-best", help=_("Shows first what would be removed.")
            )
        ):
            quality_repairs.keep_best(wb, me, theme)
        elif (
            kind.name == "conflict"
            and may_label
            and st.button(
                _("Give each group one label"), key="one-label", help=_("Shows first what would change.")
            )
        ):
            quality_repairs.one_label(wb, me, theme)
        elif (
            kind.name in repair.REMOVABLE
            and may_label
            and st.button(
                _("Remove them"), key=f"remove-{kind.name}", help=_("Shows first what would be removed.")
            )
        ):
            quality_repairs.remove(wb, me, theme, kind.name)
    st.caption(f"{kinds.meaning(kind.name)} {kinds.advice(kind.name)}")
    which = images.Filter(finding=kind.name, sort="finding")
    ids = images.ids(wb, theme.id, which)[: DOUBTS if kind.name in kinds.OF_LABELS else SHOWN].tolist()
    shown = images.rows(wb, theme.id, ids)
    if kind.name in kinds.OF_LABELS:
        quality_answers.doubted(wb, me, theme, kind.name, shown)
        return
    splits = {"train": _("train"), "valid": _("valid"), "test": _("test")}
    captions = {}
    turns = upright.turns(wb, theme.id, ids) if kind.name == "turned" else {}
    for image in shown:
        if kind.name == "leak":
            captions[image.id] = splits.get(image.split or "", "–")
        elif kind.name == "conflict":
            captions[image.id] = name(image.label_id)
        elif image.id in turns:
            captions[image.id] = {1: "↻ 90°", 2: "↻ 180°", 3: "↺ 90°"}[turns[image.id]]
    if turns:
        st.caption(_("Shown as they would be afterwards:"))
    thumbnails(shown, captions, turns=turns)
    with st.container(horizontal=True, gap="small", key=f"acts-{kind.name}"):
        if turns and may_label and _turn_button(len(turns)):
            with frame.refusals():
                upright.turn(wb, me, theme.id, list(turns))
                st.rerun()
        if decisions.may_decide(me, kind.name) and st.button(
            ngettext("It is fine", "All {n} are fine", n).format(n=f"{n:,}"),
            key=f"fine-{kind.name}",
            help=_("They are no longer listed here, and the log remembers who said so."),
        ):
            with frame.refusals():
                decisions.decide(wb, me, theme.id, kind.name, images.ids(wb, theme.id, which).tolist())
                st.rerun()


def _turn_button(n: int) -> bool:
    return st.button(
        ngettext("Turn it upright", "Turn these {n} upright", n).format(n=n),
        key="turn-upright",
        help=_(
            "A turned copy with the same label takes the place of each; the old one stays in the records."
        ),
    )


def log() -> None:
    entries = findings.entries(wb, theme.id)
    if not entries:
        st.caption(_("Nothing yet."))
        return
    verdict.trend(
        (entry.at, entry.score, ACTIONS.get(entry.action, ""))
        for entry in reversed(entries)
        if entry.score is not None
    )
    st.dataframe(
        [
            {
                _("When"): when(entry.at),
                _("Who"): entry.person or _("Veritrain"),
                _("What"): ACTIONS.get(entry.action, entry.action),
                _("Finding"): kinds.title(entry.detail["kind"]) if entry.detail.get("kind") else "",
                _("Images"): entry.detail.get("images"),
                _("Gate"): _("PASS") if entry.passed else _("FAIL"),
                _("Score"): entry.score,
                _("Reason"): entry.detail.get("reason", ""),
            }
            for entry in entries
        ],
        hide_index=True,
        key="quality-log",
    )


standing = findings.standing(wb, theme.id)
if not standing.counts.images:
    st.info(_("No images yet. Add some: each is checked when it comes in."))
    frame.link(_("To the images"), "theme.py", {"theme": theme.id})
else:
    gate_of(standing)
    trust.draw(wb, theme)
    checking()
    findings_of(standing)
    drift.draw(wb, theme)
    chart = st.expander(_("Map of the pictures"), key="map-box", on_change="rerun")
    if chart.open:  # many points: they travel only to who looks at them
        with chart:
            quality_map.draw(wb, me, theme)
    with st.expander(_("Images that belong together")):
        quality_groups.draw(wb, me, theme)
    with st.expander(_("Frozen test set")):
        quality_frozen.draw(wb, me, theme)
    with st.expander(_("Thresholds of the findings")):
        quality_rules.thresholds(wb, me, theme)
    with st.expander(_("What the gate asks for")):
        quality_rules.gate(wb, me, theme)
    with st.expander(_("Log of checks and decisions")):
        log()
