"""Whether the images that came lately are like those of the training: one sentence, what moved, examples."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from core import images, transfer
from core.i18n import gettext as _
from core.image_filter import Filter
from core.quality import batches, drift_words
from core.quality.batches import Comparison
from core.quality.drift import Feature
from core.themes import Theme
from core.workbench import Workbench
from pages.widgets import frame
from pages.widgets.pictures import thumbnails

REMEMBERED = 30
"""Seconds for which a comparison is not computed anew; reading 10,000 images' measures takes a moment."""
IMPORTS = 20
SINCE, DAYS = "since", "days"


def draw(wb: Workbench, theme: Theme) -> None:
    """The section of the quality screen."""
    st.subheader(
        _("New images"),
        anchor=False,
        help=_("A model knows what it learnt from; of pictures that look different its marks say little."),
    )
    which = _chosen(wb, theme)
    with st.spinner(_("Comparing …")):
        found = _compare(wb, wb.settings.database_url, theme.id, which)
    with st.container(border=True, key="drift"):
        if found.drift is None:
            st.caption(drift_words.why_not(found.why))
            return
        drifted = bool(found.drift.drifted)
        st.markdown(
            f":{'red' if drifted else 'green'}-badge[{_('different') if drifted else _('alike')}] "
            + frame.escape(drift_words.sentence(found.drift, found.images, found.reference))
        )
        if drifted:
            st.caption(
                _(
                    "Look at the examples. Are such pictures to be expected from now on? Then label some, train again, "
                    "and test with them too. If not, find out what changed: another camera, light, crop."
                )
            )
            _examples(wb, theme, found, which)
        with st.expander(_("What was measured"), expanded=drifted):
            _table(found.drift.features)


@st.cache_data(ttl=REMEMBERED, max_entries=32, show_spinner=False)
def _compare(_wb: Workbench, _database: str, theme_id: int, which: Filter | None) -> Comparison:
    return batches.compare(_wb, theme_id, which)


def _chosen(wb: Workbench, theme: Theme) -> Filter | None:
    """Which images: all that came since the newest training, one import, or those of some days."""
    names = {SINCE: _("All that came since the newest training"), DAYS: _("Those that came on some days")}
    for each in transfer.history(wb, theme.id, limit=IMPORTS):
        names[f"{each.id}"] = _("Import {id}: {source}").format(
            id=each.id, source=frame.shorten(each.source, 40)
        )
    with st.container(horizontal=True, vertical_alignment="bottom", key="drift-which"):
        what = st.selectbox(
            _("Which images"),
            list(names),
            format_func=lambda name: names[name],
            key="drift-batch",
            help=_("They are compared with the images that the newest model learnt from."),
            width=360,
        )
        if what == SINCE:
            return None
        if what == DAYS:
            today = datetime.now(UTC).date()
            given = st.date_input(
                _("From and to (UTC)"),
                (today, today),
                key="drift-days",
                help=_("First and last day on which the images came."),
                width=240,
            )
            days = given if isinstance(given, tuple) else (given,)
            first, last = (days[0], days[-1]) if days else (today, today)
            return Filter(since=first, until=last)
    return Filter(import_id=int(what))


def _examples(wb: Workbench, theme: Theme, found: Comparison, which: Filter | None) -> None:
    assert found.moved is not None and found.since is not None
    with st.container(horizontal=True, vertical_alignment="center", key="drift-head"):
        st.markdown(
            _("**Farthest off: {what}**").format(what=drift_words.title(found.moved)), width="stretch"
        )
        if which is None:
            query = {"since": found.since.date()}
            text = _("Open what came since {day} in the grid").format(day=found.since.date())
        elif which.import_id is not None:
            query, text = {"import": which.import_id}, _("Open this import in the grid")  # type: ignore[dict-item]
        else:
            query = {"since": which.since, "until": which.until}  # type: ignore[dict-item]
            text = _("Open these days in the grid")
        frame.link(text, "theme.py", {"theme": theme.id, **query})
    thumbnails(images.rows(wb, theme.id, found.examples))


def _table(features: tuple[Feature, ...]) -> None:
    middles = [drift_words.middles(each) for each in features]
    st.dataframe(
        [
            {
                _("Measured"): drift_words.title(each.name),
                _("Result"): drift_words.level(each),
                _("Training"): list(each.reference),
                _("New"): list(each.batch),
                _("Typical before"): before,
                _("Typical now"): now,
                _("Index"): "–" if each.psi is None else f"{each.psi:.2f}",
                "p": drift_words.chance(each.adjusted),
            }
            for each, (before, now) in zip(features, middles, strict=True)
        ],
        hide_index=True,
        width="stretch",
        height="content",
        column_config={
            _("Training"): st.column_config.BarChartColumn(
                width=90, y_min=0, y_max=1, help=_("How the images of the training are spread, low to high.")
            ),
            _("New"): st.column_config.BarChartColumn(
                width=90, y_min=0, y_max=1, help=_("The same of the new images.")
            ),
            _("Typical before"): st.column_config.TextColumn(
                help=_("Half of the images of the training lie below this number; or the commonest.")
            ),
            _("Typical now"): st.column_config.TextColumn(help=_("The same of the new images.")),
            _("Index"): st.column_config.TextColumn(
                help=_("Population stability index, how far it moved: below 0.1 hardly, from 0.25 on much.")
            ),
            "p": st.column_config.TextColumn(
                help=_("How often chance alone would move one of these so far; below 0.05 it is no chance.")
            ),
        },
        key="drift-features",
    )
