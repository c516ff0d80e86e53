"""Custom components from the files beside this one, without a build step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

_HERE = Path(__file__).parent


def load(name: str) -> Any:
    """Register `<name>.js` and `<name>.css`, with dom.js before it; call once, when a module is imported."""
    return st.components.v2.component(
        f"veritrain_{name}",
        html='<div class="root"></div>',
        css=(_HERE / f"{name}.css").read_text(encoding="utf-8"),
        js="\n".join((_HERE / part).read_text(encoding="utf-8") for part in ("dom.js", f"{name}.js")),
    )
