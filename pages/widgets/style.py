"""The little CSS that the theme in .streamlit/config.toml cannot say."""

from __future__ import annotations

import streamlit as st

_CSS = """
<style>
.stMainBlockContainer { padding: 3.75rem 2.5rem 2rem; max-width: 1600px; }
.stMainBlockContainer > .stVerticalBlock { gap: .75rem; }
.stMain h1 { padding: 0; font-size: 1.6rem; }
.st-key-crumbs { align-items: center; gap: .25rem .5rem; padding-right: 3rem; }
.st-key-crumbs p { opacity: .75; font-size: .9rem; }
.st-key-theme-actions { align-items: center; }
.st-key-theme-screens { border-bottom: 1px solid rgba(127, 127, 127, .3); align-items: center; gap: .25rem; }
.st-key-theme-screens > [data-testid="stElementContainer"]:has([data-testid="stMarkdown"]) {
  padding: .25rem .5rem; margin-bottom: -1px;
  border-bottom: 2px solid var(--st-primary-color, #0f766e); }
.st-key-next-step [data-testid="stMarkdownContainer"] { margin-bottom: 0; }
.st-key-next-step p { margin: 0; }
[class*="st-key-card-"] > div:first-child p { font-weight: 700; font-size: 1.05rem; }
[class*="st-key-card-"] [data-testid="stPageLink"] a, .st-key-crumbs a, .st-key-who-is-here a { padding-left: 0; }
[data-testid="stPageLink"] p { text-decoration: underline; text-decoration-color: rgba(127, 127, 127, .5);
  text-underline-offset: 3px; }
.st-key-who-is-here { padding-top: 4px; }
[data-testid="stLayoutWrapper"]:has(> .st-key-save-bar) { position: sticky; top: 3.5rem; z-index: 20;
  padding: .5rem 0; background: #ffffff; }
.st-key-yaml-texts textarea { font-family: var(--st-code-font, monospace); font-size: .85rem; }
[data-testid="stMetricValue"] { font-variant-numeric: tabular-nums; }
@media (max-width: 900px) { .stMainBlockContainer { padding: 3.75rem 1rem 2rem; } }
</style>
"""


_DARK = """
<style>
:is([data-testid^="stBaseButton-primary"], [data-testid^="stBaseLinkButton-primary"]):not(:disabled) {
  color: #10161c !important; }
[data-testid="stLayoutWrapper"]:has(> .st-key-save-bar) { background: #10161c; }
</style>
"""
"""Streamlit writes white on the primary colour, which is a light one in the dark theme (contrast 1.9)."""


def apply() -> None:
    """Put the style into the page; every run of the script does."""
    st.html(_CSS + (_DARK if st.context.theme.type == "dark" else ""))
