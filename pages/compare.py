"""Two to ten runs, or the versions they made, beside each other: which is best, by more than chance, and why."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import streamlit as st

from core import images, run_reports, themes, versions_compared, workbench
from core.errors import InvalidInput, VeritrainError
from core.evaluations import compared, words
from core.evaluations.compared import Comparison
from core.i18n import gettext as _
from core.i18n import ngettext
from core.quality import effect_words, picks
from core.versions_compared import Versions
from pages.widgets import charts, frame, steps
from pages.widgets import curves as drawn
from pages.widgets import versions_compared as of_versions
from pages.widgets.pictures import thumbnails
from pages.widgets.runs import duration, when

REMEMBERED = 3_600
"""Seconds; what finished runs answered does not change."""
SHOWN = 12


def asked_for() -> list[int]:
    try:
        return compared.check([int(part) for part in st.query_params.get("runs", "").split(",")])
    except ValueError:
        raise InvalidInput("This address names no runs; choose them from the history.") from None


def asked_versions() -> list[int]:
    try:
        return [int(part) for part in st.query_params.get("versions", "").split(",")]
    except ValueError:
        raise InvalidInput("This address names no versions; choose them under Models.") from None


@st.cache_data(ttl=REMEMBERED, max_entries=32, show_spinner=False)
def _compared(_wb: workbench.Workbench, _database: str, ids: tuple[int, ...]) -> Comparison:
    return compared.of_runs(_wb, ids)


def name(run_id: int) -> str:
    for version in whole.versions if whole else ():
        if version.run_id == run_id:
            return of_versions.name(version)
    return words.run(run_id)


whole: Versions | None = None
try:
    bench = workbench.current()
    if "versions" in st.query_params:
        whole = versions_compared.of_versions(bench, asked_versions())
        found = whole.runs
    else:
        found = _compared(bench, bench.settings.database_url, tuple(asked_for()))
    theme = themes.get(bench, found.marks[0].run.theme_id)
except VeritrainError as error:
    frame.missing(error)
    raise
wb, me = frame.open_page(
    title=_("Compare versions") if whole else _("Compare runs"),
    crumbs=frame.of_theme(theme),
    help=_("All runs are judged on the same test images, by the newest labels."),
)
steps.draw(wb, me, theme, "models" if whole else "history")


def verdict() -> None:
    judged = found.judged
    certain = judged is not None and judged.pairs[0].certain
    mark = f":green-badge[{_('proven')}]" if certain else f":gray-badge[{_('not proven')}]"
    with st.container(border=True, key="verdict"):
        st.markdown(f"{mark} **{frame.escape(words.verdict(found, name))}**")
        if judged is None:
            if found.without:
                st.caption(_("Without answers: {runs}.").format(runs=", ".join(map(name, found.without))))
            return
        others = [pair for pair in judged.pairs[1:]]
        if others:
            certain_of = [name(pair.other) for pair in others if pair.certain]
            near = [name(pair.other) for pair in others if not pair.certain]
            if certain_of:
                st.caption(_("Better than {runs} by more than chance.").format(runs=", ".join(certain_of)))
            if near:
                st.caption(_("Within noise of {runs}.").format(runs=", ".join(near)))
        st.caption(
            _(
                "McNemar's test on the images that only one of two got right, exact; with several runs corrected "
                "by Holm. Intervals by Newcombe."
            )
        )


def marks() -> None:
    rows = []
    for mark in found.marks:
        result: dict[str, Any] = mark.run.result or {}
        test = result["metrics"]["test"]
        pair = next((p for p in found.judged.pairs if p.other == mark.run.id), None) if found.judged else None
        rows.append(
            {
                **({_("Version"): name(mark.run.id)} if whole else {}),
                "run": f"/run?run={mark.run.id}",
                _("Right answers"): mark.accuracy.value if mark.accuracy else test["accuracy"],
                _("Interval (95 %)"): words.span(mark.accuracy) if mark.accuracy else "–",
                _("Behind the best (points)"): round(100 * pair.paired.difference, 1) if pair else 0.0,
                _("Chance (p)"): words.chance(pair.p) if pair else "–",
                "Macro F1": test["macro_f1"],
                _("Loss"): test["loss"],
                _("Epochs"): result["epochs_run"],
                _("Took"): duration(result.get("seconds")),
                _("Started (UTC)"): when(mark.run.created_at),
            }
        )
    percent = st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
    three = st.column_config.NumberColumn(format="%.3f")
    st.dataframe(
        rows,
        hide_index=True,
        width="stretch",
        key="marks",
        column_config={
            "run": st.column_config.LinkColumn(
                _("Run"), display_text=r"run=(\d+)", help=_("Opens the run."), width="small"
            ),
            _("Right answers"): percent,
            _("Macro F1"): three,
            "Macro F1": three,
            _("Loss"): three,
        },
    )


def differences() -> None:
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        st.markdown(f"**{_('Parameters that differ')}**")
        rows = [
            {
                _("Parameter"): parameter,
                **{name(i): words.value(v) for i, v in zip(found.ids, values, strict=True)},
            }
            for parameter, values in found.parameters.items()
        ]
        if rows:
            st.dataframe(rows, hide_index=True, width="stretch", key="differences")
        else:
            st.caption(_("Their parameters are the same."))
        if found.code:
            st.caption(_("Veritrain's own code differs, too."))
    with right.container(border=True, height="stretch"):
        st.markdown(f"**{_('Images that differ')}**")
        if not found.data:
            st.caption(_("They used the same images with the same labels in the same splits."))
        for run_id, changes in found.data.items():
            text = _("{run} against {first}: {changes}.").format(
                run=name(run_id), first=name(found.ids[0]), changes=effect_words.changed(changes)
            )
            st.markdown(f"- {frame.escape(text)}")


def labels() -> None:
    """F1 of each label, the label on which the runs differ most first."""
    every = sorted({label for mark in found.marks for label in mark.f1})
    rows = [
        (
            max(values) - min(values),
            {_("Label"): label, **{name(m.run.id): m.f1.get(label) for m in found.marks}},
        )
        for label in every
        if (values := [m.f1[label] for m in found.marks if label in m.f1])
    ]
    rows.sort(key=lambda each: -each[0])
    st.caption(_("F1 of each label on each run's own test images; where they differ most comes first."))
    st.dataframe(
        [{**row, _("Difference"): apart} for apart, row in rows],
        hide_index=True,
        width="stretch",
        key="by-label",
        column_config={
            title: st.column_config.NumberColumn(format="%.3f")
            for title in (*(name(i) for i in found.ids), _("Difference"))
        },
    )


def single_images() -> None:
    """How often two runs say the same, and the images that only one of them got right."""
    if found.judged is None:
        st.caption(words.verdict(found, name))
        return
    pairs = list(combinations(found.ids, 2))
    one, other = pairs[0]
    if len(pairs) > 1:
        one, other = st.selectbox(
            _("Which two"),
            pairs,
            format_func=lambda pair: f"{name(pair[0])} · {name(pair[1])}",
            key="pair",
            help=_("Single images are looked at two at a time."),
        )
    right = found.right
    counts = st.columns(4)
    both = int((right[one] & right[other]).sum())
    neither = int((~right[one] & ~right[other]).sum())
    only = {one: found.only(one, other), other: found.only(other, one)}
    counts[0].metric(_("Both right"), f"{both:,}")
    counts[1].metric(_("Only {name} right").format(name=name(one)), f"{len(only[one]):,}")
    counts[2].metric(_("Only {name} right").format(name=name(other)), f"{len(only[other]):,}")
    counts[3].metric(_("Both wrong"), f"{neither:,}")
    for run_id, ids in only.items():
        if not ids:
            continue
        with st.container(horizontal=True, vertical_alignment="center", key=f"only-{run_id}"):
            text = ngettext(
                "{n} image that only {name} got right",
                "{n} images that only {name} got right",
                len(ids),
            )
            st.markdown(f"**{text.format(n=f'{len(ids):,}', name=name(run_id))}**", width="stretch")
            with frame.refusals():
                picked = picks.pick(wb, me, theme.id, ids[: picks.MOST])
                frame.link(_("Open in the grid"), "theme.py", {"theme": theme.id, "picked": picked})
        thumbnails(images.rows(wb, theme.id, ids[:SHOWN]))


def curves() -> None:
    titles = drawn.titles()
    series = {run_id: run_reports.metrics(wb, run_id) for run_id in found.ids}
    known = [metric for metric in titles if any(metric in of for of in series.values())]
    if not known:
        st.caption(_("No run kept its curves."))
        return
    left, middle, right = st.columns([2, 2, 1], vertical_alignment="bottom")
    metric = left.selectbox(
        _("Curve"), known, format_func=titles.__getitem__, key="curve", help=_("What is drawn for every run.")
    )
    smooth = middle.slider(
        _("Smoothing"),
        0.0,
        drawn.SMOOTHEST,
        0.0,
        0.05,
        key="smooth",
        help=_("Takes the zigzag out of the curves."),
    )
    log = right.toggle(_("Log axis"), key="log", help=_("Shows small values as far apart as large ones."))
    chosen = {
        name(run_id): charts.smoothed(of[metric], smooth) for run_id, of in series.items() if metric in of
    }
    figure = charts.lines(titles[metric], chosen, percent=metric.endswith("accuracy"), log=log)
    st.plotly_chart(figure, key=f"curve-{metric}", config=charts.CONFIG)


verdict()
if whole:
    of_versions.facts(whole)
marks()
differences()
titles = [_("By label"), _("Single images"), _("Curves")]
by_label, by_image, by_curve, *by_version = st.tabs(
    [*titles, _("Benchmarks"), _("By kind of image")] if whole else titles
)
with by_label:
    labels()
with by_image:
    single_images()
with by_curve:
    curves()
if whole:
    with by_version[0]:
        of_versions.benchmarks(whole)
    with by_version[1]:
        of_versions.kinds(whole)
