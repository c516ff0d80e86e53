"""The little CSS that the theme in .streamlit/config.toml cannot say."""

from __future__ import annotations

import streamlit as st

_CSS = """
<style>
.stMainBlockContainer { padding-top: 2.5rem; padding-bottom: 3rem; max-width: 1440px; }
.st-key-crumbs { font-size: .875rem; margin-bottom: -1rem; align-items: center; }
.st-key-crumbs p { color: inherit; opacity: .8; }
.st-key-who-is-here { position: sticky; bottom: 0; border-top: 1px solid rgba(127, 127, 127, .3); padding-top: 12px; }
[data-testid="stMetricValue"] { font-variant-numeric: tabular-nums; }
</style>
"""


def apply() -> None:
    """Put the style into the page; every run of the script does."""
    st.html(_CSS)
