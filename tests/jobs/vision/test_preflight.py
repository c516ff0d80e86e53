"""A training tried on a few images: what it foretells, and what it finds before anybody waits for it."""

from __future__ import annotations

from typing import Any

import psutil
import pytest

from core import preflight_words
from core.params import Auguments, parse_yaml
from core.preflight_lines import Line
from core.settings import Settings
from core.spec import PreflightSpec
from jobs.runtime import Job
from tests.jobs.vision.helpers import TINY, events, make_spec, of_type


def tried(
    settings: Settings, run_id: int, text: str = TINY, auguments: str = "", **data: Any
) -> tuple[dict[str, Line], dict[str, Any]]:
    """The lines by name, and the figures."""
    from jobs.vision.preflight import main

    run = make_spec(settings, run_id, text, **data).model_copy(
        update={"auguments": parse_yaml(auguments, Auguments).model_dump(mode="json")}
    )
    spec = PreflightSpec(
        run_id=run_id, kind="preflight", theme_id=1, trial=run, about="", code=run.code, created_by="trainer"
    )
    with Job(spec, 1, settings) as job:
        main(job, spec)
    found = events(settings, run_id)
    assert of_type(found, "status")[-1]["status"] == "succeeded"
    [result] = of_type(found, "result")
    assert not (settings.artifacts_dir / "runs" / str(run_id) / "preflight").exists()
    lines = [Line(**each) for each in result["lines"]]
    assert all(preflight_words.text(line) for line in lines)
    return {line.name: line for line in lines}, result["figures"]


def test_a_training_that_would_run_is_foretold(vision_settings: Settings) -> None:
    lines, figures = tried(vision_settings, 801)
    states = {name: line.state for name, line in lines.items()}
    assert states == {
        **dict.fromkeys(("memory", "time", "checkpoint", "round-trip"), "ok"),
        "missing": "warn",
    }
    assert "no image in test" in preflight_words.text(lines["missing"])  # every test image is light
    assert 0 < figures["step_seconds"] < figures["eta_low"] <= figures["eta_high"]
    assert figures["steps"] == 4 * 5  # 38 training images in batches of 8
    assert figures["need_bytes"] < figures["free_bytes"]
    assert figures["fitting_batch"] >= 8


def test_a_batch_that_cannot_fit_is_refused_with_one_that_does(
    vision_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = psutil.virtual_memory()._replace(available=300 * 2**20)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    text = TINY.replace("batch_size: 8", "batch_size: 1024").replace("image_size: 32", "image_size: 224")
    lines, figures = tried(vision_settings, 802, text)
    assert lines["memory"].state == "bad"
    assert figures["fitting_batch"] < 1024
    assert f"Set the batch size to {figures['fitting_batch']}" in preflight_words.text(lines["memory"])
    assert "time" not in lines  # nothing was tried that would have taken the memory


def test_what_the_training_would_stumble_over_is_said_before(vision_settings: Settings) -> None:
    lines, figures = tried(vision_settings, 804, damaged=(4, 9))
    assert lines["dropped"].state == "warn" and figures["dropped"] > 0
    lines, _figures = tried(vision_settings, 805, damaged=tuple(range(1, 31)))
    assert lines["fails"].state == "bad"
    assert "cannot be read" in preflight_words.text(lines["fails"])
    lines, _figures = tried(vision_settings, 806, TINY.replace("}", ", weights: gone.safetensors}", 1))
    assert lines["fails"].state == "bad"
    assert "gone.safetensors" in preflight_words.text(lines["fails"])


def test_patches_mixed_labels_and_averages_pass_too(vision_settings: Settings) -> None:
    text = TINY.replace(
        "batch_size: 8", "batch_size: 8, ema_decay: 0.9, class_weights: balanced, freeze_epochs: 1"
    )
    lines, _figures = tried(
        vision_settings,
        807,
        text.replace("image_size: 32", "image_size: 64"),
        "preprocessing: {patching: {enabled: true, size: 32, stride: 32}, clahe: {enabled: true}}\n"
        "augmentation: {mixup: {enabled: true}, cutmix: {enabled: true}}",
    )
    assert lines["round-trip"].state == "ok", lines["round-trip"]
    assert "fails" not in lines
