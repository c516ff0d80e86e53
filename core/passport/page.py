"""Pure. A passport as HTML: one page that needs nothing else, and its inside for the screen, which has its own style."""

from __future__ import annotations

from base64 import b64encode
from html import escape

from core import webpage
from core.drawing import svg
from core.i18n import gettext as _
from core.passport.document import Block, Charts, Document, Section, Table, Text, Unknown

CSS = """
.passport h2 { font-size: 1.2rem; } .passport h3 { font-size: 1rem; } .passport small { opacity: .75; }
.passport .verdict { border-left: .4rem solid #64748b; padding: .5rem 1rem; background: rgba(127, 127, 127, .12); }
.passport table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
.passport th, .passport td { text-align: left; padding: .3rem .6rem; }
.passport tr { border-bottom: 1px solid rgba(127, 127, 127, .4); } .passport td { overflow-wrap: anywhere; }
.passport h2 small { font-weight: 400; font-size: .8rem; margin-left: .5rem; }
.passport table { margin: .5rem 0 1rem; } .passport p { white-space: pre-line; overflow-wrap: anywhere; }
.passport .unknown { border-left: .25rem solid #b45309; padding-left: .75rem; }
.passport .charts, .passport .pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
.passport figure { margin: 0; break-inside: avoid; } .passport .charts figure { flex: 0 1 24rem; min-width: 15rem; }
.passport figcaption { font-size: .8rem; line-height: 1.3; overflow-wrap: anywhere; }
.passport .pictures figure { width: 8.5rem; }
.passport .pictures img, .passport .gone { width: 8.5rem; height: 8.5rem; object-fit: contain; }
.passport .gone { display: grid; place-items: center; background: rgba(127, 127, 127, .12); font-size: .8rem; }
.passport .charts img { width: 100%; height: auto; }
.passport .wide { overflow-x: auto; } .passport td { min-width: 7ch; }
.passport td:first-child { overflow-wrap: normal; }
.passport details { margin: .5rem 0 1rem; } .passport details td { font-size: .8rem; }
.passport summary { cursor: pointer; }
@media print {
  h2, h3 { break-after: avoid; } tr { break-inside: avoid; }
  body { margin: 0; max-width: none; font-size: 11pt; }
  details::details-content { content-visibility: visible; display: block; block-size: auto; }
}
@page { margin: 16mm; }
"""


def render(document: Document) -> str:
    """The whole page."""
    heading = f"<h1>{escape(document.title)}</h1>"
    return webpage.page(document.title, [f"<main class='passport'>{heading}{inside(document)}</main>"], CSS)


def inside(document: Document) -> str:
    """The page without its title and style."""
    parts = [
        f"<p><small>{escape(document.about)}</small></p>",
        f"<div class='verdict'><strong>{escape(document.summary)}</strong></div>",
        *(_section(each) for each in document.sections),
    ]
    return "".join(parts)


def _section(section: Section) -> str:
    card = _("model card: {section}").format(section=section.card) if section.card else ""
    said = f" <small>{escape(card)}</small>" if card else ""
    blocks = "".join(_block(block) for block in section.blocks)
    return f"<section><h2 id='{escape(section.name)}'>{escape(section.title)}{said}</h2>{blocks}</section>"


def _block(block: Block) -> str:
    if isinstance(block, Text):
        return f"<p>{escape(block.text)}</p>"
    if isinstance(block, Unknown):
        return f"<p class='unknown'>{escape(block.sentence)}</p>"
    if isinstance(block, Table):
        table = f"<div class='wide'>{webpage.table(block.head, block.rows)}</div>"
        if block.long:
            return f"<details><summary>{escape(block.title)}</summary>{table}</details>"
        return f"<h3>{escape(block.title)}</h3>{table}" if block.title else table
    if isinstance(block, Charts):
        charts = (
            _figure(_image("svg+xml", svg(drawing).encode(), title), title) for title, drawing in block.drawn
        )
        return f"<div class='charts'>{''.join(charts)}</div>"
    return f"<div class='pictures'>{''.join(_picture(*each) for each in block.shown)}</div>"


def _picture(data: bytes | None, words: str) -> str:
    if data is None:
        return _figure(f"<div class='gone'>{escape(_('no picture any more'))}</div>", words)
    return _figure(_image("webp", data, words), words)


def _figure(shown: str, words: str) -> str:
    return f"<figure>{shown}<figcaption>{escape(words)}</figcaption></figure>"


def _image(kind: str, data: bytes, words: str) -> str:
    """As a file in the page: Streamlit takes SVG out that is part of it."""
    text = b64encode(data).decode("ascii")
    return f"<img src='data:image/{kind};base64,{text}' alt='{escape(words)}'>"
