"""What only a GPU can show; left out where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from core.params import Auguments, Params, parse_yaml
from core.settings import Settings
from core.spec import PreflightSpec
from jobs.runtime import Job
from tests.jobs.vision.helpers import TINY, events, make_spec, of_type, run
from tests.jobs.vision.test_run_controls import Pausing, statuses
from tests.jobs.vision.test_vision_run import result

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
LARGE = (
    "model: {architecture: resnet50}\ntraining: {epochs: 1, batch_size: 256, precision: fp32}\n"
    "data: {image_size: 224}"
)


@pytest.fixture
def little_memory() -> Iterator[None]:
    """A GPU of 6 GiB."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(6 * 2**30 / torch.cuda.get_device_properties(0).total_memory)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_run_pauses_goes_on_and_its_version_answers_on_the_processor(
    vision_settings: Settings, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs.vision.pyfunc_model import Classifier
    from jobs.vision.run import main

    number = {"bf16": 901, "fp32": 902}[precision]
    text = TINY.replace("batch_size: 8", f"batch_size: 8, precision: {precision}, ema_decay: 0.5")
    spec = make_spec(vision_settings, number, text)
    monkeypatch.setattr("jobs.vision.reporter.TELL_SECONDS", 0.0)
    # Two steps of an epoch are not told of yet when it stops: their losses come back from the file.
    with Pausing(spec, 1, vision_settings, at=7) as job:
        main(job, spec)
    assert statuses(events(vision_settings, number)) == ["running", "paused"]
    found = run(spec, 2, vision_settings)
    told = result(found)
    assert told["precision"] == precision and told["device"] == torch.cuda.get_device_name()
    assert min(point["step"] for point in of_type(found, "metric")) == 8
    names = {name for point in of_type(found, "metric") for name in point["values"]}
    assert "system/gpu_memory_usage_megabytes" in names
    assert told["epochs_run"] == 4 and told["metrics"]["valid"]["n"] == 12
    classifier = Classifier(vision_settings.artifacts_dir / "runs" / str(number) / "model")
    assert next(classifier._network.parameters()).device.type == "cpu"


def test_every_change_of_images_runs_on_the_gpu(vision_settings: Settings) -> None:
    from tests.jobs.vision.test_preprocessing import ALL

    every = parse_yaml(ALL, Auguments).model_dump(mode="json")
    for name, change in every["augmentation"].items():
        if isinstance(change, dict) and "enabled" in change:
            every["augmentation"][name]["enabled"] = True
    spec = make_spec(vision_settings, 903, TINY.replace("image_size: 32", "image_size: 64"))
    told = result(run(spec.model_copy(update={"auguments": every}), 1, vision_settings))
    assert told["epochs_run"] == 4


def test_a_batch_that_does_not_fit_is_computed_in_parts(
    vision_settings: Settings, little_memory: None
) -> None:
    found = run(make_spec(vision_settings, 904, LARGE, n=600), 1, vision_settings)
    told = result(found)
    assert told["batch_parts"] >= 2
    assert any("memory was not enough" in line["message"] for line in of_type(found, "log"))


def test_the_preflight_foretells_the_memory(vision_settings: Settings) -> None:
    from jobs.vision.preflight import main

    training = make_spec(vision_settings, 905, LARGE, n=600)
    spec = PreflightSpec(
        run_id=905,
        kind="preflight",
        theme_id=1,
        trial=training,
        about="",
        code=training.code,
        created_by="trainer",
    )
    with Job(spec, 1, vision_settings) as job:
        main(job, spec)
    [foretold] = of_type(events(vision_settings, 905), "result")
    states = {line["name"]: line["state"] for line in foretold["lines"]}
    assert states["memory"] == states["checkpoint"] == states["round-trip"] == "ok"
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    result(run(training.model_copy(update={"run_id": 906}), 1, vision_settings))
    taken = torch.cuda.max_memory_allocated()
    assert 0.5 * taken < foretold["figures"]["need_bytes"] < 2 * taken


def test_the_gpu_learns_what_the_processor_learns(vision_settings: Settings) -> None:
    """One step of the same batch, in fp32: the same loss, and weights that differ by rounding."""
    from jobs.vision import models
    from jobs.vision.checkpoints import weights_of
    from jobs.vision.hardware import Hardware
    from jobs.vision.reporter import Outlet
    from jobs.vision.train import fit
    from tests.jobs.vision.test_architectures import pictures

    params = parse_yaml(
        "model: {architecture: small_cnn}\ntraining: {epochs: 1, batch_size: 32, optimizer: sgd, learning_rate: 0.1}\n"
        "data: {image_size: 32}",
        Params,
    )
    found = {}
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    for device in ("cpu", "cuda"):
        folder = vision_settings.artifacts_dir / f"step-{device}"
        torch.manual_seed(1)
        from core.files import FileStore

        network = models.build(params, Auguments(), 2, FileStore(str(folder)))
        chosen = Hardware(device, "fp32", 1)  # type: ignore[arg-type]
        fit(network, params, Auguments(), pictures(32), pictures(10), chosen, folder, Outlet.silent(), 2)
        found[device] = weights_of(folder / "last.ckpt")
    for name, value in found["cpu"].items():
        assert np.allclose(value, found["cuda"][name], atol=1e-3), name
