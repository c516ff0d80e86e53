"""Which parameters a tuning may vary, and from where to where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.i18n import gettext as _
from core.params import FormField, Params, form_fields
from core.params.tuning import SearchSpace

LEFT_OUT = frozenset(
    {"training.seed", "training.precision", "model.weights", "data.workers", "data.keep_preprocessed"}
)
"""What changes no model, or cannot be told in numbers or a list."""


def fields() -> dict[str, FormField]:
    """The parameters that can be searched, by their dotted name."""
    return {
        field.name: field
        for field in form_fields(Params)
        if field.kind in ("int", "float", "choice") and field.name not in LEFT_OUT
    }


def title(name: str) -> str:
    field = fields().get(name)
    return _(field.title) if field else name


def draw(saved: Mapping[str, SearchSpace], key: str, *, disabled: bool) -> dict[str, dict[str, Any]]:
    """The search space as a person sets it, as a dictionary for `core.params.check`."""
    known = fields()
    chosen = st.multiselect(
        _("What may be varied"),
        list(known),
        default=[name for name in saved if name in known],
        format_func=title,
        key=f"{key}-which",
        disabled=disabled,
        help=_("The more is varied, the more trials it takes: count with ten trials for each at least."),
    )
    return {name: _one(known[name], saved.get(name), f"{key}-{name}", disabled) for name in chosen}


def _one(field: FormField, saved: SearchSpace | None, key: str, disabled: bool) -> dict[str, Any]:
    with st.container(border=True, key=f"{key}-box"):
        listed = field.kind == "choice" or (saved is not None and saved.choices is not None)
        name, *columns = st.columns([2, 5] if listed else [2, 2, 2, 1], vertical_alignment="center")
        name.markdown(f"**{_(field.title)}**", help=_(field.help))
        if listed:
            return {"choices": _choices(field, saved, key, disabled, columns[0])}
        low, high = _usual(field)
        if saved is not None and saved.low is not None and saved.high is not None:
            low, high = saved.low, saved.high
        number: dict[str, Any] = {"format": "%g"} if field.kind == "float" else {"step": 1}
        kind = float if field.kind == "float" else int
        low = columns[0].number_input(
            _("From"),
            value=kind(low),
            key=f"{key}-low",
            disabled=disabled,
            help=_("The smallest value."),
            **number,
        )
        high = columns[1].number_input(
            _("To"),
            value=kind(high),
            key=f"{key}-high",
            disabled=disabled,
            help=_("The largest value."),
            **number,
        )
        log = columns[2].toggle(
            _("Log"),
            value=bool(saved.log) if saved else _wide(field),
            key=f"{key}-log",
            disabled=disabled,
            help=_("Tries small values as often as large ones; for what spans powers of ten."),
        )
        return {"low": low, "high": high, **({"log": True} if log else {})}


def _choices(field: FormField, saved: SearchSpace | None, key: str, disabled: bool, wide: Any) -> list[Any]:
    if field.kind == "choice":
        names = list(field.choices)
        picked = wide.multiselect(
            _("One of"),
            names,
            default=[each for each in (saved.choices or []) if each in names] if saved else names[:2],
            format_func=lambda each: _(field.choices[each]),
            key=f"{key}-choices",
            disabled=disabled,
            help=_("Every trial takes one of these."),
        )
        return list(picked)
    text = wide.text_input(
        _("One of"),
        ", ".join(f"{each:g}" for each in (saved.choices if saved and saved.choices else [])),
        key=f"{key}-values",
        disabled=disabled,
        help=_("Numbers with commas between them; every trial takes one."),
    )
    kind = float if field.kind == "float" else int
    try:
        return [kind(part) for part in text.split(",") if part.strip()]
    except ValueError:
        return [text]  # the check names it


def _usual(field: FormField) -> tuple[float, float]:
    """From where to where a search makes sense when nobody said: a third of the default to three times."""
    now = float(field.default)
    low, high = field.low or 0.0, field.high if field.high is not None else now * 3
    if now <= low:
        return low, low + (high - low) / 5
    return max(low, now / 3 if field.kind == "float" else now // 3), min(high, now * 3)


def _wide(field: FormField) -> bool:
    return field.kind == "float" and bool(field.low) and (field.high or 0) / (field.low or 1) > 1000
