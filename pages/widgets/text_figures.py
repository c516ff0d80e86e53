"""How long the texts of a dataset are, and some of them."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import streamlit as st

from core.datasets import store
from core.datasets.store import Dataset, Version
from core.i18n import gettext as _
from core.workbench import Workbench
from pages.widgets import charts, text_rows, text_upload


def draw(wb: Workbench, dataset: Dataset, version: Version) -> None:
    figures = version.statistics
    unit = st.segmented_control(
        _("Lengths in"),
        ["characters", "tokens"],
        default="tokens",
        required=True,
        format_func={"characters": _("characters"), "tokens": _("tokens")}.__getitem__,
        key="unit",
        help=_(
            "Models read tokens: whole words or parts of them, often one character in Japanese and Korean."
        ),
    )
    if unit == "tokens":
        st.caption(
            _("Estimated: each word, sign, and Japanese or Korean character counts as one token. Most models cut "
              "long words further. An administrator can set VERITRAIN_TOKENIZER to count exactly.")
            if figures["tokenizer"] is None
            else _("Counted by {name}.").format(name=figures["tokenizer"])
        )  # fmt: skip
    assert unit is not None
    entries = {**figures["fields"], "": figures["whole"]}
    roles = {"user": _("User"), "assistant": _("Assistant"), "tool": _("Tool"), "other": _("Others")}
    names = {
        name: _("Whole row") if not name else roles.get(name) or text_upload.title(name, dataset.shape)
        for name in entries
    }
    st.dataframe(
        {
            _("Text"): list(names.values()),
            _("How many"): [entry["texts"] for entry in entries.values()],
            _("Shortest"): [entry[unit]["min"] for entry in entries.values()],
            _("Half are shorter than"): [entry[unit]["median"] for entry in entries.values()],
            _("95 of 100 are shorter than"): [entry[unit]["p95"] for entry in entries.values()],
            _("Longest"): [entry[unit]["max"] for entry in entries.values()],
            _("All together"): [entry[unit]["total"] for entry in entries.values()],
        },
        hide_index=True,
        key="lengths",
    )
    _histogram(figures["edges"], {names[name]: entry[unit]["histogram"] for name, entry in entries.items()})
    _examples(wb, dataset, version)


def _histogram(edges: list[int], series: dict[str, list[int]]) -> None:
    last = max((n for counts in series.values() for n, count in enumerate(counts) if count), default=0)
    ticks = [
        f"{low:,}–{high - 1:,}" if high - low > 1 else f"{low:,}"
        for low, high in zip(edges, [*edges[1:], edges[-1] * 10], strict=True)
    ]
    figure = go.Figure()
    for number, (name, counts) in enumerate(series.items()):
        figure.add_bar(
            x=ticks[: last + 1],
            y=counts[: last + 1],
            name=name,
            marker={"color": charts.COLORS[number % len(charts.COLORS)]},
        )
    figure.update_layout(**{**charts.LAYOUT, "height": 260}, uirevision="lengths", bargap=0.15)
    figure.update_yaxes(title=_("texts"))
    st.plotly_chart(figure, key="length-histogram", config=charts.CONFIG)


def _examples(wb: Workbench, dataset: Dataset, version: Version) -> None:
    ids: dict[str, Any] = version.statistics["examples"]
    titles = {"shortest": _("Shortest"), "longest": _("Longest"), "others": _("Some others")}
    for name, title in titles.items():
        found = store.page(wb, version, ids=ids[name]).rows
        if not found:
            continue
        with st.expander(title):
            for row in found:
                with st.container(border=True, key=f"example-{name}-{row.row_id}"):
                    text_rows.whole(row, dataset.shape)
