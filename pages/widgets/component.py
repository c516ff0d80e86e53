"""Custom components from the files beside this one, without a build step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

_HERE = Path(__file__).parent


def load(name: str, *parts: str, isolated: bool = True) -> Any:
    """Register a component; call once, when a module is imported. `isolated`: the page's styles do not reach it.

    Its script is `<name>.js`, with dom.js and the `parts` (paths beside this file, without
    `.js`) before it in one module; its style lies beside the script.
    """
    scripts = ("dom", *parts, name)
    return st.components.v2.component(
        f"veritrain_{name.split('/')[-1]}",
        html='<div class="root"></div>',
        css=(_HERE / f"{name}.css").read_text(encoding="utf-8"),
        js="\n".join((_HERE / f"{part}.js").read_text(encoding="utf-8") for part in scripts),
        isolate_styles=isolated,
    )
