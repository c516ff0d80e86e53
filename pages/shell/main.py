"""The Streamlit script: every run goes through `st.navigation`, so no page is reached around it.

It lies in a folder without a `pages/` beside it, which Streamlit would list by itself.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.addresses import SCREENS
from core.i18n import gettext as _
from pages.widgets import frame, style

PAGES = Path(__file__).resolve().parents[1]

st.set_page_config(page_title="Veritrain", page_icon=str(PAGES / "widgets" / "mark.svg"), layout="wide")
user = frame.signed_in()
if user is None:
    # Without a session there is one page, and it only says so.
    st.navigation([st.Page(frame.signed_out, title=_("Sign in"), default=True)], position="hidden").run()
    st.stop()
assert user is not None
frame.speak(user)
style.apply()

TITLES = {
    "themes.py": _("Themes"),
    "theme.py": _("Theme"),
    "overview.py": _("Overview"),
    "quality.py": _("Quality"),
    "team.py": _("Team"),
    "transfer.py": _("Import & export"),
    "parameters.py": _("Parameters"),
    "tuning.py": _("Tuning"),
    "training.py": _("Training"),
    "run.py": _("Run"),
    "compare.py": _("Compare runs"),
    "datasets.py": _("Texts"),
    "dataset.py": _("Text dataset"),
    "queue.py": _("Queue"),
    "history.py": _("History"),
    "models.py": _("Models"),
    "monitoring.py": _("Monitoring"),
    "rules.py": _("Promotion rules"),
    "passport.py": _("Passport"),
    "predict.py": _("Predict"),
    "ab.py": _("A/B tests"),
    "abtest.py": _("A/B test"),
    "duel.py": _("Duel"),
    "users.py": _("People"),
    "webhooks.py": _("Webhooks"),
    "account.py": _("Your account"),
}

pages = [
    st.Page(
        PAGES / screen.file,
        title=TITLES[screen.file],
        url_path=screen.path,
        default=not screen.path,
        visibility="visible" if screen.in_menu else "hidden",
    )
    for screen in SCREENS
    if user.may(screen.role)
]
current = st.navigation(pages, position="sidebar")
frame.who_is_here(user)
current.run()
