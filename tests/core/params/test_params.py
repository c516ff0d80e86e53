from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from core.errors import InvalidInput
from core.params import (
    Auguments,
    GatePolicy,
    OptunaParams,
    Params,
    check,
    form_fields,
    load_defaults,
    load_search,
    parse_yaml,
    save,
    save_texts,
    saved,
    saved_text,
    to_yaml,
    with_values,
)
from core.settings import ROOT, Settings


def test_the_shipped_files_say_what_the_models_say_and_survive_a_round_trip() -> None:
    params, auguments = load_defaults()
    assert (params, auguments) == (Params(), Auguments())
    for model, name in (
        (params, "params.yaml"),
        (auguments, "auguments.yaml"),
        (load_search(), "optuna_params.yaml"),
        (GatePolicy(), "gate.yaml"),
    ):
        assert to_yaml(model) == (ROOT / name).read_text()


def test_changed_values_keep_the_comments() -> None:
    changed = parse_yaml("training: {epochs: 3, learning_rate: 1e-5}", Params)
    text = to_yaml(changed)
    assert re.search("epochs: 3 +# passes over all training images", text)
    assert parse_yaml(text, Params) == changed


@pytest.mark.parametrize(
    ("text", "model", "sentence"),
    [
        ("training: [1", Params, "Line 1, column 13 is not valid YAML"),
        ("training:\n\tepochs: 3", Params, "Line 2, column 1 is not valid YAML"),
        ("training:\n  epochs: 3\n  epochs: 4", Params, "Line 3, column 3 .* duplicate key"),
        ("a: !!python/object:os.system x", Params, "Line 1, column 4 is not valid YAML"),
        ("[" * 5000, Params, "nested too deeply"),
        ("\0", Params, "not valid YAML"),
        ("# " + "x" * 100_000, Params, "at most 100000"),
        ("- 1", Params, "not a list of parameters"),
        ("training:\n  epoch: 3", Params, "Line 2: “training.epoch” .* did you mean “epochs”"),
        ("zzz: 1", Params, "“zzz” .* known here are: schema_version, model"),
        ("training:\n  epochs: 0", Params, "Line 2: “training.epochs” is 0; allowed is 1 to 1000"),
        ("training:\n  learning_rate: .nan", Params, "“training.learning_rate” is “nan”; write an ordinary"),
        ("training:\n  epochs: ten", Params, "“training.epochs” is “ten”; write a whole number"),
        ("training:\n  epochs: true", Params, "“training.epochs” is “True”; write a whole number"),
        ("training: 5", Params, "“training” is “5”; write settings below it"),
        ("model: {architecture: resnet19}", Params, "“resnet19”; allowed are: resnet18, resnet34"),
        ("model: {weights: ../../x.safetensors}", Params, "“model.weights” is"),
        ("model: {architecture: vit_b_16}\ndata: {image_size: 100}", Params, "multiple of 16; take 96"),
        ("preprocessing: {normalize_std: [1, 1]}", Auguments, "normalize_std” is .* three numbers"),
        ("preprocessing: {normalize_std: [1, 1, 0]}", Auguments, "between 0.01 and 1"),
        ("augmentation: {crop: {enabled: 1}}", Auguments, "crop.enabled” is “1”; write true or false"),
        ("# newer\nschema_version: 2", Params, "Line 2: params.yaml has the format 2, .* up to 1; update"),
        ("schema_version: old", Params, "“schema_version” is “old”; allowed are: 1"),
        ("search: {training.epoch: {low: 1, high: 3}}", OptunaParams, "training.epoch” is not a parameter"),
        ("search: {training.epochs: {low: 0, high: 3}}", OptunaParams, "would try 0"),
        ("search: {training.epochs: {low: 1}}", OptunaParams, "either choices, or low and high"),
        ("size:\n  limit: 0", GatePolicy, "Line 2: “size.limit” is 0; allowed is 0.1 to 100000"),
        ("benchmarks:\n  rain: 2", GatePolicy, "Line 2: “benchmarks.rain” is 2; allowed is 0 to 1"),
        ("benchmarks: [1]", GatePolicy, "Line 1: “benchmarks” is .* write settings below it"),
        ("benchmarks: {1: 0.5}", GatePolicy, "Line 1: “benchmarks.1” is “1”; write a word"),
        ("metric: {name: recall}", GatePolicy, "“recall”; allowed are: accuracy, macro_f1"),
    ],
)
def test_each_mistake_is_one_sentence(text: str, model: type[BaseModel], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence) as refused:
        parse_yaml(text, model)
    assert "\n" not in refused.value.text() and len(refused.value.text()) < 400


@pytest.mark.parametrize("model", [Params, Auguments, GatePolicy])
def test_every_field_can_be_drawn_and_read_back(model: type[BaseModel]) -> None:
    fields = form_fields(model)
    for field in fields:
        assert field.title and field.help.endswith(".") and field.group and field.section
        if field.kind in ("int", "float"):
            assert field.low is not None and field.high is not None and field.step
            assert field.low <= field.default <= field.high
        if field.kind == "choice":
            assert field.default in field.choices
    values = {field.path: field.value(model()) for field in fields}
    assert check(with_values(model, values), model) == model()


def test_parameters_are_saved_for_each_theme_alone(tmp_path: Path) -> None:
    settings = Settings.from_env({"VERITRAIN_DATA_DIR": str(tmp_path)})
    params = parse_yaml("training: {epochs: 3}", Params)
    auguments = parse_yaml("augmentation: {blur: {enabled: true}}", Auguments)
    save(settings, 1, "Ada", params, auguments)
    assert saved(settings, 1) == (params, auguments)
    assert saved(settings, 2) == load_defaults()

    save_texts(settings, 1, "Ada", {Params: "# because\ntraining:\n  epochs: 7  # enough\n"})
    with pytest.raises(InvalidInput):
        save_texts(settings, 1, "Ada", {Params: "training: {epochs: 0}"})
    save(settings, 1, "Ada", parse_yaml("training: {epochs: 8}", Params), auguments)
    assert "# because" in saved_text(settings, 1, Params)
    assert "epochs: 8  # enough" in saved_text(settings, 1, Params)

    (tmp_path / "config/themes/1/params.yaml").write_text("training: [")
    with pytest.raises(InvalidInput, match=r"config/themes/1/params\.yaml"):
        saved(settings, 1)


def test_files_that_contradict_each_other_are_not_saved(tmp_path: Path) -> None:
    settings = Settings.from_env({"VERITRAIN_DATA_DIR": str(tmp_path)})
    save(settings, 1, "Ada", parse_yaml("data: {image_size: 128}", Params))
    patched = parse_yaml("preprocessing: {patching: {enabled: true, size: 128}}", Auguments)
    save(settings, 1, "Ada", patched)
    with pytest.raises(InvalidInput, match="is 128 pixels, but images are brought to 64"):
        save(settings, 1, "Ada", parse_yaml("data: {image_size: 64}", Params))
    assert saved(settings, 1)[0].data.image_size == 128
    with pytest.raises(InvalidInput, match="no pre-trained weights of small_cnn"):
        parse_yaml("model: {architecture: small_cnn, weights: default}", Params)
