"""Preprocessing: each step, patches, kept images, and that training, evaluation and serving see the same pixels."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from core.errors import InvalidInput
from core.files import FileStore
from core.params import Auguments, Params, check_together, parse_yaml
from core.params.auguments import STEPS
from core.settings import Settings
from jobs.vision import steps
from jobs.vision.data import Pictures, Rows, decode
from jobs.vision.imaging import normalize, patch_starts, patches, prepare, put_together
from jobs.vision.transforms import Augmenter
from tests.jobs.vision.helpers import TINY, make_spec, of_type, png, run
from tests.jobs.vision.test_vision_images import LIMIT, OFF, PLAIN

ALL = (
    "preprocessing: {resize: crop, equalize: true, grayscale: true, gamma: 0.7, steps: 'sharpen, denoise', "
    "clahe: {enabled: true, tiles: 4}, patching: {enabled: true, size: 32, stride: 24, combine: vote}}"
)


def photo(side: int = 48) -> np.ndarray:
    """(s, s, 3): a gradient with noise, dark on the left."""
    random = np.random.default_rng(3)
    ramp = np.linspace(20, 220, side)[None, :, None] + random.integers(-15, 16, (side, side, 3))
    return ramp.clip(0, 255).astype(np.uint8)


def prepared(image: np.ndarray, **settings: object) -> np.ndarray:
    done = PLAIN | settings
    return prepare(Image.fromarray(image), len(image), done, steps.loaded(done))


def test_the_forms_list_is_the_list_of_files() -> None:
    assert steps.registered() == sorted(STEPS)
    with pytest.raises(InvalidInput, match="names “blurr”; known steps are: denoise, sharpen"):
        parse_yaml("preprocessing: {steps: 'sharpen, blurr'}", Auguments)


@pytest.mark.parametrize(
    "settings",
    [
        {"equalize": True},
        {"grayscale": True},
        {"gamma": 0.5},
        {"clahe": {"enabled": True, "limit": 2.0, "tiles": 4}},
        *({"steps": name} for name in STEPS),
    ],
)
def test_each_step_changes_pixels_and_keeps_their_shape(settings: dict[str, object]) -> None:
    done = prepared(photo(), **settings)
    assert done.shape == (48, 48, 3) and done.dtype == np.uint8
    assert not np.array_equal(done, prepared(photo()))


def test_steps_do_what_they_are_called() -> None:
    light, *colour = Image.fromarray(photo()).convert("YCbCr").split()
    even = Image.merge("YCbCr", (ImageOps.equalize(light), *colour)).convert("RGB")
    assert np.array_equal(prepared(photo(), equalize=True), np.asarray(even))
    assert np.ptp(prepared(photo(), grayscale=True), axis=2).max() == 0
    assert prepared(photo(), gamma=0.5).mean() > photo().mean() + 20
    assert prepared(photo(), gamma=2.0).mean() < photo().mean() - 20
    specks = np.zeros((20, 20, 3), np.uint8)
    specks[5::6, 5::6] = 255
    assert prepared(specks, steps="denoise").max() == 0
    # Both halves are even, one dark, one bright; each gets contrast of its own, which one histogram cannot give.
    halves = photo(64) // 8
    halves[:, 32:] += 180
    spread = [part.std() for part in (halves[:, :24], halves[:, 40:])]
    better = prepared(halves, clahe={"enabled": True, "limit": 10.0, "tiles": 4})
    assert all(
        part.std() > 2 * old for part, old in zip((better[:, :24], better[:, 40:]), spread, strict=True)
    )
    before, after = (prepared(photo(), steps=order) for order in ("sharpen,denoise", "denoise, sharpen"))
    assert not np.array_equal(before, after), "in the order in which they are named"


def test_settings_of_before_these_steps_give_what_they_gave() -> None:
    """A model version's configuration from then has none of the new names, and neither has a saved file."""
    old = {
        name: PLAIN[name] for name in ("resize", "grayscale", "equalize", "normalize_mean", "normalize_std")
    }
    assert steps.plan(old) == steps.plan(PLAIN) == []
    images = torch.rand(2, 3, 8, 8)
    assert patches(images, old) is images and patches(images, PLAIN) is images
    text = "schema_version: 1\npreprocessing: {resize: crop, equalize: true}\naugmentation: {blur: {enabled: true}}"
    saved = parse_yaml(text, Auguments)
    assert steps.plan(saved.preprocessing.model_dump()) == [("equalize", {})]
    done = saved.augmentation
    new = (done.zoom, done.noise, done.rand_augment, done.mixup, done.cutmix)
    assert done.blur.enabled and not any(change.enabled for change in new)


@given(
    side=st.integers(1, 90), size=st.integers(1, 90), stride=st.integers(1, 90), whole=st.booleans()
)  # fmt: skip
def test_patches_cover_the_image(side: int, size: int, stride: int, whole: bool) -> None:
    size = min(size, side)
    starts = patch_starts(side, {"size": size, "stride": stride})
    assert starts == sorted(set(starts)) and starts[0] == 0 and starts[-1] == side - size
    assert len(starts) == -(-(side - size) // stride) + 1, "as core.params.check_together counts them"
    if stride <= size:
        assert {place for start in starts for place in range(start, start + size)} == set(range(side))


def test_patches_that_do_not_fit_are_refused() -> None:
    text = "preprocessing: {patching: {enabled: true, size: %d, stride: %d}}"
    small, vit = Params(), parse_yaml("model: {architecture: vit_b_16}\ndata: {image_size: 128}", Params)
    for params, size, stride, sentence in (
        (small, 96, 64, "is 96 pixels, but images are brought to 64"),
        (vit, 40, 64, "is 40, but vit_b_16 needs a multiple of 16"),
        (vit, 32, 8, "into 169 patches; at most 64"),
    ):
        with pytest.raises(InvalidInput, match=sentence):
            check_together(params, parse_yaml(text % (size, stride), Auguments))
    check_together(small, parse_yaml("preprocessing: {patching: {enabled: false, size: 96}}", Auguments))


def test_patches_answer_together() -> None:
    shares = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.45, 0.55], [0.2, 0.8], [0.9, 0.1], [0.2, 0.8]])
    logits = shares.log()

    def found(combine: str) -> torch.Tensor:
        return put_together(logits, 2, {"patching": {"combine": combine}}).softmax(dim=1)

    torch.testing.assert_close(found("mean"), torch.tensor([[1.75, 1.25], [1.3, 1.7]]) / 3)
    # Two of three for the second label, and the mean as one more vote; the mean alone says the first.
    torch.testing.assert_close(found("vote")[0], torch.tensor([1 + 1.75 / 3, 2 + 1.25 / 3]) / 4)
    assert put_together(logits, 6, {}) is logits


def test_a_training_sees_one_of_the_patches_that_are_measured() -> None:
    done = parse_yaml(f"{ALL}\n{OFF}}}", Auguments)
    images = torch.randint(0, 256, (6, 3, 64, 64), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    ids = np.arange(6) + 40
    every = patches(normalize(images.float() / 255, PLAIN), done.preprocessing.model_dump()).unflatten(
        0, (6, -1)
    )
    seen = Augmenter(done, seed=1)(images, ids, epoch=0)
    assert seen.shape == (6, 3, 32, 32) and every.shape[1] == 9
    for one, measured in zip(seen, every, strict=True):
        assert any(torch.equal(one, patch) for patch in measured)
    assert torch.equal(Augmenter(done, seed=1)(images[2:], ids[2:], epoch=0), seen[2:])
    assert not torch.equal(Augmenter(done, seed=1)(images, ids, epoch=1), seen)


def test_kept_images_are_what_would_be_made_anew(tmp_path: Path) -> None:
    files = FileStore(str(tmp_path / "files"))
    path = files.put(png(photo()), "images", "png")
    rows = Rows(np.array([1]), (path,), np.array([0]))

    def pixels(**settings: object) -> torch.Tensor:
        return decode(
            files, rows, size=32, preprocessing=PLAIN | settings, max_pixels=LIMIT, threads=1,
            scratch=tmp_path / "p", keep=tmp_path / "kept", advanced=lambda n: None, unreadable=lambda i, why: None,
        ).pixels  # fmt: skip

    first = pixels(gamma=0.5)
    [kept] = (tmp_path / "kept").rglob("*.*")
    stamp = kept.stat().st_mtime_ns
    assert torch.equal(pixels(gamma=0.5), first) and kept.stat().st_mtime_ns == stamp
    assert not torch.equal(pixels(gamma=0.6), first)
    kept.write_bytes(kept.read_bytes()[:90])
    assert torch.equal(pixels(gamma=0.5), first), "a damaged file is made anew"
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(kept)
    assert pixels(gamma=0.5).max() == 0, "it is read from there"


SERVE = """
import json, sys, mlflow, pandas, torch
model = mlflow.pyfunc.load_model(sys.argv[1])
assert "core" not in sys.modules and not any(m.split(".")[0] == "jobs" for m in sys.modules)
seen = []
network = model.unwrap_python_model().classifier._network
network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
model.predict(pandas.DataFrame({"image": json.load(open(sys.argv[2]))}))
torch.save(torch.cat(seen), sys.argv[3])
"""


def test_training_evaluation_and_serving_see_the_same_pixels(
    vision_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with every step on; its version is served in a fresh process far from this repository."""
    from jobs.vision import evaluate
    from jobs.vision import run as running
    from jobs.vision.module import Module
    from jobs.vision.pyfunc_model import Classifier

    text = TINY.replace("epochs: 4", "epochs: 1").replace("image_size: 32", "image_size: 64")
    auguments = parse_yaml(ALL, Auguments)
    spec = make_spec(vision_settings, 31, text).model_copy(
        update={"auguments": auguments.model_dump(mode="json")}
    )
    trained: list[torch.Tensor] = []
    measured: list[torch.Tensor] = []
    decoded: list[Pictures] = []

    # What is handed on is only looked at.
    step, predict, decoder = Module.validation_step, evaluate.predict, running.decode

    def look(self: Module, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> None:
        handle = self.network.register_forward_pre_hook(lambda _, inputs: trained.append(inputs[0].clone()))
        step(self, batch, index)
        handle.remove()

    def listen(classifier: Classifier, *rest: object) -> evaluate.Predictions:
        network = classifier._network
        handle = network.register_forward_pre_hook(lambda _, inputs: measured.append(inputs[0].clone()))
        found = predict(classifier, *rest)  # type: ignore[arg-type]
        handle.remove()
        return found

    monkeypatch.setattr(Module, "validation_step", look)
    monkeypatch.setattr(evaluate, "predict", listen)
    monkeypatch.setattr(running, "decode", lambda *a, **k: decoded.append(decoder(*a, **k)) or decoded[-1])
    found = run(spec, 1, vision_settings)
    [result] = of_type(found, "result")

    manifest = pq.read_table(FileStore(vision_settings.files_url).local_path(spec.snapshot.path)).to_pandas()
    valid = manifest[manifest.split == "valid"]
    files = FileStore(vision_settings.files_url)
    (tmp_path / "images.json").write_text(
        json.dumps([base64.b64encode(files.read(path)).decode() for path in valid.image_path])
    )
    (tmp_path / "serve.py").write_text(SERVE)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["MLFLOW_TRACKING_URI"] = environment["MLFLOW_REGISTRY_URI"] = vision_settings.mlflow_url
    subprocess.run(
        [sys.executable, "serve.py", result["model"]["uri"], "images.json", "seen.pt"],
        cwd=tmp_path, env=environment, check=True, timeout=120,
    )  # fmt: skip
    served = torch.load(tmp_path / "seen.pt")
    count = len(valid) * 9
    assert served.shape == (count, 3, 32, 32)
    assert torch.equal(torch.cat(trained), served)
    assert torch.equal(torch.cat(measured)[:count], served)
    # … and what the training's own images are made of before chance is done to them.
    floats = normalize(decoded[1].pixels.float() / 255, spec.auguments["preprocessing"])
    assert torch.equal(patches(floats, spec.auguments["preprocessing"]), served)
    assert abs(result["metrics"]["valid"]["accuracy"] - last_accuracy(found)) < 1e-6


def last_accuracy(found: list[dict]) -> float:  # type: ignore[type-arg]
    return [point for point in of_type(found, "metric") if "valid_accuracy" in str(point)][-1]["values"][
        "valid_accuracy"
    ]
