"""Ready-made settings fit every theme, and the served schema says what the models say."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from ruamel.yaml import YAML

from core.errors import InvalidInput
from core.params import (
    Auguments,
    OptunaParams,
    Params,
    changes,
    form_fields,
    json_schema,
    label,
    load_defaults,
    parse_yaml,
    presets,
    shipped,
)


@settings(max_examples=30)
@given(st.integers(0, 10_000_000))
def test_presets_change_what_they_name_and_nothing_else(images: int) -> None:
    names = {field.name for model in (Params, Auguments) for field in form_fields(model)}
    before = (
        parse_yaml("model: {weights: mine.safetensors}\ntraining: {seed: 7}", Params),
        load_defaults()[1],
    )
    steps = []
    for preset in presets(images):
        assert set(preset.settings) <= names
        applied = preset.applied(*before)
        assert {change.name for change in changes(before, applied)} <= set(preset.settings)
        assert preset.applied(*applied) == applied
        assert "{" not in preset.because()
        steps.append(preset.fields["steps"])
    assert steps == sorted(steps), "from the fastest to the slowest"


def test_presets_go_with_every_architecture() -> None:
    squares = parse_yaml("model: {architecture: vit_b_16}", Params)
    assert all(preset.applied(squares, Auguments()) for preset in presets(100))


def test_no_two_settings_have_the_same_words() -> None:
    labels = [label(field) for model in (Params, Auguments, OptunaParams) for field in form_fields(model)]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize(
    ("model", "path", "value"),
    [
        (Params, ("training", "epochs"), 0),
        (Params, ("training", "epochs"), "ten"),
        (Params, ("model", "architecture"), "resnet19"),
        (Params, ("training", "epoch"), 3),
        (Params, ("schema_version",), 2),
        (Auguments, ("preprocessing", "normalize_std"), [1, 1]),
        (Auguments, ("preprocessing", "normalize_mean"), [1, 1, 2]),
        (OptunaParams, ("trials",), 0),
    ],
)
def test_the_schema_allows_the_shipped_files_and_refuses_what_the_models_refuse(
    model: type[BaseModel], path: tuple[str, ...], value: Any
) -> None:
    schema = json_schema(model)
    jsonschema.Draft202012Validator.check_schema(schema)
    values = YAML(typ="safe").load(shipped(model))
    jsonschema.validate(values, schema)
    wrong = copy.deepcopy(values)
    inner = wrong
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)
    with pytest.raises(InvalidInput):
        parse_yaml(str(wrong), model)
