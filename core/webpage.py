"""Pure. One HTML page that needs nothing else: to mail, to print, to keep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from core.i18n import language

_CSS = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2rem; } h3 { font-size: 1rem; }
.verdict { border-left: .4rem solid #64748b; padding: .5rem 1rem; background: rgba(127, 127, 127, .12); }
.verdict strong { font-size: 1.3rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid rgba(127, 127, 127, .4); }
td { overflow-wrap: anywhere; } small { opacity: .75; overflow-wrap: anywhere; }
"""


def page(title: str, parts: Iterable[str], css: str = "") -> str:
    """The whole document; `parts` are HTML, `css` goes after what all such pages share."""
    return (
        f"<!doctype html><html lang='{escape(language())}'><head><meta charset='utf-8'>"
        f"<title>{escape(title)}</title>"
        f"<meta name='viewport' content='width=device-width'><style>{_CSS}{css}</style></head>"
        f"<body>{''.join(parts)}</body></html>"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """`rows` are as wide as `head`; every cell is text."""
    cells = "".join(f"<th>{escape(text)}</th>" for text in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"
