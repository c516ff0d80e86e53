"""Thumbnails of a theme's images in a row, each with a few words below it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape

import streamlit as st

from core.images import Image
from pages.widgets.frame import shorten

SIDE = 84
"""Pixels."""
_FIGURE = (
    '<figure style="margin:0;width:{side}px"><img src="/api/thumbs/{sha256}-small.webp" alt="{name}" title="{name}"'
    ' loading="lazy" style="width:{side}px;height:{side}px;object-fit:contain;border-radius:4px;rotate:{turn}deg">'
    '<figcaption style="font-size:.8rem;line-height:1.3;overflow-wrap:anywhere">{caption}</figcaption></figure>'
)


def drawn(figures: Sequence[tuple[bytes, str]], *, side: int = 2 * SIDE) -> None:
    """PNG files beside each other, each with a few words below it."""
    inner = "".join(
        f'<figure style="margin:0;width:{side}px"><img src="data:image/png;base64,{b64encode(png).decode("ascii")}" '
        f'alt="{escape(caption)}" style="width:{side}px;height:{side}px;object-fit:contain;border-radius:4px">'
        f'<figcaption style="font-size:.8rem;line-height:1.3;overflow-wrap:anywhere">{escape(caption)}</figcaption>'
        "</figure>"
        for png, caption in figures
    )
    st.html(f'<div style="display:flex;flex-wrap:wrap;gap:12px">{inner}</div>')


def thumbnails(
    shown: Sequence[Image],
    captions: Mapping[int, str] | None = None,
    *,
    side: int = SIDE,
    turns: Mapping[int, int] | None = None,
) -> None:
    """Pictures beside each other; without captions (by image id) the end of the file name stands there.

    `turns`: quarters by which pictures are shown turned clockwise, by image id.
    """
    figures = (
        _FIGURE.format(
            side=side,
            turn=90 * (turns or {}).get(image.id, 0),
            sha256=image.sha256,
            name=escape(image.file_name),
            caption=escape((captions or {}).get(image.id, shorten(image.file_name.rpartition("/")[2], 14))),
        )
        for image in shown
    )
    st.html(f'<div style="display:flex;flex-wrap:wrap;gap:12px">{"".join(figures)}</div>')
