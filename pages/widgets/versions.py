"""How a model version is shown: its name, stage, tags and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.i18n import gettext as _
from core.ledger import ARCHIVED, PRODUCTION, STAGING
from core.model_benchmarks import Benchmark
from core.passport.names import megabytes
from core.passport.names import stage as stage_name
from core.registry import Version
from core.signatures import VISION
from pages.widgets import frame
from pages.widgets.runs import percent, when

COLORS = {STAGING: "blue", PRODUCTION: "violet", ARCHIVED: "gray"}
RANKS = {PRODUCTION: 0, STAGING: 1, ARCHIVED: 2}
"""In which order versions are offered to be used."""
TAGS_SHOWN = 6
BENCHMARKS_SHOWN = 4
DESCRIPTION_SHOWN = 200


def badge(stage: str) -> str:
    """The stage as a coloured Markdown badge."""
    return f":{COLORS[stage]}-badge[{stage_name(stage)}]"


def title(version: Version, *, theme: bool = True) -> str:
    """Its name in Markdown, with the theme's or within a theme's own screens without."""
    own = "" if version.kind == VISION else version.model_name
    name = version.called if theme else own
    return (f"{frame.escape(name)}, " if name else "") + _("version {n}").format(n=version.version)


def heading(version: Version, aliases: Sequence[str], *, theme: bool) -> None:
    """Name, number, stage, aliases and tags; tags beyond the first few stand in a tooltip."""
    names = " ".join(f":orange-badge[{alias}]" for alias in aliases)  # MLflow's words, in every language
    tags = [f":gray-badge[{frame.escape(tag)}]" for tag in version.tags[:TAGS_SHOWN]]
    rest = version.tags[TAGS_SHOWN:]
    if rest:
        tags.append(f":gray-badge[+{len(rest)}]")
    st.markdown(
        f"**{title(version, theme=theme)}** · {version.semver} {badge(version.stage)} {names} "
        f"{' '.join(tags)}",
        help=_("More tags: {tags}").format(tags=", ".join(map(frame.escape, rest))) if rest else None,
    )


def facts(version: Version, benchmarks: Sequence[Benchmark]) -> None:
    """What it is, how good it is and what people wrote about it."""
    parts = [frame.escape(version.architecture), when(version.created_at)]
    if version.run_id is None:
        parts.insert(0, _("trained elsewhere"))
    test = version.metrics.get("test", {})
    if "accuracy" in test and "n" in test:
        text = _("{share} right on {n} test images")
        parts.insert(0, text.format(share=percent(test["accuracy"]), n=f"{test['n']:,}"))
    if version.size is not None:
        parts.insert(-1, megabytes(version.size))
    scores = [
        f"{frame.escape(frame.shorten(each.name, 40))} {each.score:.3f}"
        for each in benchmarks[:BENCHMARKS_SHOWN]
    ]
    if more := benchmarks[BENCHMARKS_SHOWN:]:
        scores.append(f"+{len(more)}")
    lines = [" · ".join(parts)]
    if scores:
        lines.append(_("Benchmarks: {scores}").format(scores=" · ".join(scores)))
    if version.description:
        lines.append(frame.escape(frame.shorten(version.description, DESCRIPTION_SHOWN)))
    st.caption("  \n".join(lines))
