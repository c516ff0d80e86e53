"""A form for any parameter file, drawn from its pydantic model: titles, help, units, bounds, choices."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import pandas as pd
import streamlit as st
from pydantic import BaseModel

from core.i18n import gettext as _
from core.params import FormField, form_fields
from pages.widgets import frame

Values = dict[tuple[str, ...], Any]


def draw(
    model: BaseModel, defaults: BaseModel, *, key: str, disabled: bool, folded: frozenset[str] = frozenset()
) -> Values:
    """Draw every field with the model's value; returns what the person has set, by path.

    Sections named in `folded` (their first path part) start closed. A field that differs
    from `defaults` carries a mark that says what the default is.
    """
    values: Values = {}
    for section, fields in groupby(form_fields(type(model)), key=lambda field: field.path[0]):
        listed = list(fields)
        with st.expander(_(listed[0].section), expanded=section not in folded):
            for group, part in groupby(listed, key=lambda field: field.group):
                inner = list(part)
                if group != inner[0].section:
                    st.markdown(f"**{frame.escape(_(group))}**", help=_(inner[0].group_help))
                columns = st.columns(1 if inner[0].kind == "scores" else 3)
                for number, field in enumerate(inner):
                    with columns[number % 3]:
                        values[field.path] = _input(field, model, defaults, values, key, disabled)
    return values


def draw_flat(model: BaseModel, defaults: BaseModel, *, key: str, disabled: bool) -> Values:
    """As `draw`, for a file of few fields: all in three columns, without sections."""
    values: Values = {}
    columns = st.columns(3)
    for number, field in enumerate(form_fields(type(model))):
        with columns[number % 3]:
            values[field.path] = _input(field, model, defaults, values, key, disabled)
    return values


def changes(model: BaseModel, defaults: BaseModel) -> dict[str, tuple[Any, Any]]:
    """{name: (default, value)} of the fields whose value is not the default."""
    found = {}
    for field in form_fields(type(model)):
        before, now = field.value(defaults), field.value(model)
        if before != now:
            found[field.name] = (before, now)
    return found


def _input(
    field: FormField, model: BaseModel, defaults: BaseModel, values: Values, key: str, disabled: bool
) -> Any:
    value, default = field.value(model), field.value(defaults)
    title = _(field.title) + (f" ({_(field.unit)})" if field.unit else "")
    help_text = _(field.help)
    if field.low is not None and field.high is not None:
        help_text += " " + _("From {low:g} to {high:g}.").format(low=field.low, high=field.high)
    off = field.switch is not None and values.get(field.switch) is False
    shown: Mapping[str, Any] = {
        "key": f"{key}-{field.name}",
        "help": help_text,
        "disabled": disabled or off,
    }
    if field.kind == "bool":
        entered: Any = st.toggle(title, value, **shown)
    elif field.kind == "choice":
        names = list(field.choices)
        entered = st.selectbox(
            title, names, names.index(value), format_func=lambda name: _(field.choices[name]), **shown
        )
    elif field.kind == "int":
        # Bounds are checked when it is saved: a browser would silently change what was typed.
        entered = st.number_input(title, value=int(value), step=int(field.step or 1), **shown)
    elif field.kind == "float":
        entered = st.number_input(title, value=float(value), step=field.step or 0.01, format="%g", **shown)
    elif field.kind == "scores":
        entered = _scores(value, **shown)
    elif field.kind == "numbers":
        entered = _numbers(st.text_input(title, ", ".join(f"{v:g}" for v in value), **shown))
    else:
        entered = st.text_input(title, str(value), **shown)
    if entered != default and not off:
        st.caption(_("Changed; default: {value}").format(value=frame.escape(_shown(field, default))))
    return entered


def _scores(value: Mapping[str, float], *, key: str, help: str, disabled: bool) -> Any:
    """A table of names and numbers with room for more; a name that stands there twice is left to the check."""
    st.caption(help)
    table: Any = st.data_editor(
        pd.DataFrame({"name": list(value), "score": list(value.values())}).astype(
            {"name": "object", "score": "float64"}
        ),
        column_config={
            "name": st.column_config.TextColumn(_("Name"), max_chars=100, width="medium"),
            "score": st.column_config.NumberColumn(_("At least"), format="%g", step=0.01, width=120),
        },
        num_rows="dynamic",
        hide_index=True,
        width="content",
        key=key,
        disabled=disabled,
    )
    rows = [
        (str(name or "").strip(), None if pd.isna(score) else float(score))
        for name, score in table.itertuples(index=False)
    ]
    entered = [row for row in rows if row != ("", None)]
    found = dict(entered)
    return found if len(found) == len(entered) else ", ".join(name for name, _score in entered)


def _numbers(text: str) -> Any:
    """What was typed as numbers, or the text itself so that the check can name it."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        return text


def _shown(field: FormField, value: Any) -> str:
    if field.kind == "choice":
        return _(field.choices[value])
    if field.kind == "bool":
        return _("on") if value else _("off")
    if field.kind == "scores":
        return ", ".join(f"{name} {score:g}" for name, score in value.items()) or _("none")
    if field.kind == "numbers":
        return ", ".join(f"{v:g}" for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
