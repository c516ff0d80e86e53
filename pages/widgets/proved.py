"""What recomputing every hash of a version says, line by line."""

from __future__ import annotations

import streamlit as st

from core import proof
from core.errors import VeritrainError
from core.i18n import gettext as _
from core.registry import Version
from core.workbench import Workbench
from pages.widgets import frame

MARKS = {
    proof.SOUND: ":green[:material/check_circle:]",
    proof.BROKEN: ":red[:material/cancel:]",
    proof.UNKNOWN: ":gray[:material/help:]",
}


def draw(wb: Workbench, version: Version) -> bool:
    """Compute and draw it; False where that was refused, which is said."""
    try:
        with st.spinner(_("Every file is read and every hash computed anew …")):
            lines = proof.verify(wb, version.id)
    except VeritrainError as error:
        frame.refuse(error)
        return False
    for line in lines:
        st.markdown(f"{MARKS[line.state]} {frame.escape(line.text(_))}")
    return True
