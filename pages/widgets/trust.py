"""The trust report of a dataset version as a file: what is known of the images, and what is not."""

from __future__ import annotations

import streamlit as st

from core import runs
from core.i18n import gettext as _
from core.themes import Theme
from core.workbench import Workbench
from pages.widgets.runs import when

FORMATS = ("pdf", "html", "json")
VERSIONS = 50
"""Newest runs whose dataset versions are offered."""


def draw(wb: Workbench, theme: Theme) -> None:
    """A choice of the version, and one link a format."""
    versions: dict[int | None, str] = {None: _("The images as they are now")}
    for run in runs.history(wb, theme.id, limit=VERSIONS):
        snapshot = run.spec.snapshot
        text = _("Dataset version {id}, of run {run}, {when}")
        versions.setdefault(snapshot.id, text.format(id=snapshot.id, run=run.id, when=when(run.created_at)))
    with st.popover(
        _("Trust report"),
        key="trust-report",
        help=_("What is known of these images and what is not, as a file to keep or to send."),
    ):
        chosen = st.selectbox(
            _("Of which images"),
            list(versions),
            format_func=lambda version: versions[version],
            key="trust-version",
            help=_("Each training froze its images as a dataset version."),
        )
        query = "" if chosen is None else f"?snapshot={chosen}"
        for format in FORMATS:
            st.link_button(
                _("Report as {format}").format(format=format.upper()),
                f"/api/theme/{theme.id}/quality/report.{format}{query}",
            )
