"""Streamlit's own log lines in the format of all others."""

from __future__ import annotations

import streamlit.logger

from core import logs


def adopt() -> None:
    """Streamlit gives each of its loggers a handler, now and whenever it makes one; there is no setting against it."""
    streamlit.logger.setup_formatter = logs.adopt
    streamlit.logger.update_formatter()
