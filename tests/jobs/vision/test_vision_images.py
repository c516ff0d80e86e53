from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.errors import InvalidInput, Unavailable
from core.files import FileStore
from core.params import Auguments, Params, parse_yaml
from jobs.vision import evaluate, hardware, models
from jobs.vision.data import EvalBatches, Pictures, Rows, TrainBatches, decode
from jobs.vision.imaging import Unreadable, normalize, open_image, prepare
from jobs.vision.transforms import Augmenter
from tests.jobs.vision.helpers import png

LIMIT = 10**6
PLAIN = Auguments().preprocessing.model_dump()


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_every_kind_of_image_becomes_rgb(mode: str) -> None:
    kind = {"CMYK": "JPEG", "F": "TIFF"}.get(mode, "PNG")
    image = Image.new("L", (40, 30), 255)
    image = Image.new(mode, (40, 30), 65535) if mode == "I;16" else image.convert(mode)
    opened = open_image(encoded(image, kind), max_pixels=LIMIT)
    assert opened.mode == "RGB" and opened.size == (40, 30)
    assert np.asarray(opened).min() > 250


def test_transparent_becomes_white_and_sideways_upright() -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert np.asarray(open_image(encoded(clear), max_pixels=LIMIT)).min() == 255
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways = encoded(Image.new("RGB", (40, 20)), "JPEG", exif=exif)
    assert open_image(sideways, max_pixels=LIMIT).size == (20, 40)


def test_a_large_photo_is_decoded_small_but_never_below_what_is_needed() -> None:
    photo = encoded(Image.new("RGB", (4000, 3000)), "JPEG")
    assert 128 <= min(open_image(photo, max_pixels=10**8, size=64).size) < 800


@pytest.mark.parametrize("data", [b"", b"no image", png(np.zeros((50, 50, 3), np.uint8))[:50]])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable, match="not an image"):
        open_image(data, max_pixels=LIMIT)


def test_too_many_pixels_are_refused() -> None:
    with pytest.raises(Unreadable, match="1 million pixels"):
        open_image(encoded(Image.new("1", (1001, 1000))), max_pixels=LIMIT)


def test_the_three_ways_to_a_square() -> None:
    left_white = Image.new("RGB", (40, 20), "black")
    left_white.paste("white", (0, 0, 10, 20))
    letterbox = prepare(left_white, 32, PLAIN, [])
    assert letterbox[0, 16].tolist() == [124, 116, 104] and letterbox[16, 2].min() > 250
    assert prepare(left_white, 32, PLAIN | {"resize": "crop"}, []).max() < 130  # the white edge is cut off
    stretched = prepare(left_white, 32, PLAIN | {"resize": "stretch"}, [])
    assert stretched[0, 0].min() == 255 and stretched[31, 31].max() == 0


OFF = "augmentation: {rotation: {enabled: false}, crop: {enabled: false}, color_jitter: {enabled: false}"
CHANGES = {
    "horizontal_flip": "probability: 1.0",
    "vertical_flip": "probability: 1.0",
    "rotation": "degrees: 30",
    "crop": "min_area: 0.5",
    "color_jitter": "hue: 0.2",
    "blur": "probability: 1.0",
    "erasing": "probability: 1.0",
    "trivial_augment": "strength: 31",
    "rand_augment": "changes: 3",
    "zoom": "largest: 2.0",
    "noise": "probability: 1.0",
}


@pytest.fixture(scope="module")
def batch() -> torch.Tensor:
    return torch.randint(0, 256, (16, 3, 24, 24), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_depends_on_seed_epoch_and_image_alone(change: str, batch: torch.Tensor) -> None:
    text = OFF.replace(f", {change}: {{enabled: false}}", "").replace(f"{change}: {{enabled: false}}, ", "")
    auguments = parse_yaml(f"{text}, {change}: {{enabled: true, {CHANGES[change]}}}}}", Auguments)
    ids = np.arange(100, 116)
    augment = Augmenter(auguments, seed=7)
    out = augment(batch, ids, epoch=2)
    plain = normalize(batch.float() / 255, PLAIN)
    assert out.shape == plain.shape and torch.isfinite(out).all()
    assert not torch.equal(out, plain)
    state = torch.random.get_rng_state()
    order = torch.randperm(16, generator=torch.Generator().manual_seed(2))
    assert torch.equal(augment(batch[order], ids[order.numpy()], epoch=2), out[order])
    assert torch.equal(torch.random.get_rng_state(), state)
    if "flip" in change:
        flipped = plain.flip(-1 if change.startswith("h") else -2)
        assert torch.equal(out, flipped)
    else:
        assert not torch.equal(augment(batch, ids, epoch=3), out)
        assert not torch.equal(Augmenter(auguments, seed=8)(batch, ids, epoch=2), out)


def test_with_everything_off_images_are_only_normalised(batch: torch.Tensor) -> None:
    augment = Augmenter(parse_yaml(OFF + "}", Auguments), seed=7)
    assert torch.equal(augment(batch, np.arange(16), 0), normalize(batch.float() / 255, PLAIN))


def stored(tmp_path: Path, n: int, damaged: tuple[int, ...] = ()) -> tuple[FileStore, Rows]:
    files = FileStore(str(tmp_path / "files"))
    paths = [
        files.put(
            b"no image %d" % i if i in damaged else png(np.full((9, 9, 3), i, np.uint8)), "images", "png"
        )
        for i in range(n)
    ]
    return files, Rows(np.arange(n) + 1, tuple(paths), np.arange(n) % 2)


@pytest.mark.parametrize("memory", [10**9, 0])
def test_decoding_keeps_rows_and_pixels_together(tmp_path: Path, memory: int) -> None:
    files, rows = stored(tmp_path, 40, damaged=(0, 17))
    bad: list[int] = []
    pictures = decode(
        files, rows, size=32, preprocessing=PLAIN, max_pixels=LIMIT, threads=2, scratch=tmp_path / "run/p",
        memory=memory, advanced=lambda n: None, unreadable=lambda i, why: bad.append(i),
    )  # fmt: skip
    assert bad == [1, 18]
    assert pictures.pixels[:, 0, 16, 16].tolist() == [i for i in range(40) if i not in (0, 17)]
    assert pictures.rows.ids.tolist() == [i + 1 for i in range(40) if i not in (0, 17)]
    assert list((tmp_path / "run").iterdir() if memory == 0 else []) == []


def test_an_epoch_deals_every_image_once_in_an_order_of_its_own() -> None:
    n = 33
    rows = Rows(np.arange(n), ("",) * n, np.zeros(n, np.int64))
    pictures = Pictures(rows, torch.zeros(n, 3, 1, 1, dtype=torch.uint8))
    epoch = 0
    batches = TrainBatches(pictures, 8, 5, lambda: epoch)
    first = torch.cat([ids for _, _, ids in batches]).tolist()
    assert len(first) == len(set(first)) == 32, "a last batch of one image is left out"
    epoch = 1
    second = torch.cat([ids for _, _, ids in batches]).tolist()
    epoch = 0
    assert torch.cat([ids for _, _, ids in batches]).tolist() == first != second
    assert torch.cat([ids for _, _, ids in EvalBatches(pictures, 8)]).tolist() == list(range(n))


def test_figures_of_a_known_table() -> None:
    truth = np.array([0, 0, 0, 1, 1, 2])
    probabilities = np.full((6, 4), 0.1)
    probabilities[np.arange(6), [0, 0, 1, 1, 1, 0]] = 0.7
    rows = Rows(np.arange(6), ("",) * 6, truth)
    found = evaluate.figures(["a", "b", "c", "never seen"], evaluate.Predictions(rows, probabilities))
    assert found["confusion"] == [[2, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert found["metrics"]["accuracy"] == pytest.approx(4 / 6)
    assert found["metrics"]["loss"] == pytest.approx(-(4 * np.log(0.7) + 2 * np.log(0.1)) / 6)
    assert found["metrics"]["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 4)
    assert found["per_class"][0]["precision"] == pytest.approx(2 / 3)
    assert found["per_class"][3] == {
        "label": "never seen",
        "precision": 0,
        "recall": 0,
        "f1": 0,
        "support": 0,
    }


def test_weights_that_cannot_be_had_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = FileStore(str(tmp_path / "files"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="cannot be downloaded from here; set “Starting weights” to none"):
        models.build(parse_yaml("model: {weights: default}", Params), Auguments(), 3, files)
    with pytest.raises(InvalidInput, match="no file “weights/mine"):
        models.build(parse_yaml("model: {weights: mine.safetensors}", Params), Auguments(), 3, files)
    files.write("weights/mine.safetensors", b"no such thing")
    with pytest.raises(InvalidInput, match="holds no weights that can be read"):
        models.build(parse_yaml("model: {weights: mine.safetensors}", Params), Auguments(), 3, files)


def test_the_hardware_is_chosen_once_for_all_attempts(tmp_path: Path) -> None:
    beside = tmp_path / "hardware.json"
    first = hardware.choose("fp32", 1, beside)
    assert first.precision == "fp32" and first.threads >= 1
    assert hardware.choose("bf16", 2, beside) == first
    if first.device == "cpu":
        expected = "bf16" if hardware.has_fast_bf16() else "fp32"
        assert hardware.choose("auto", 1, tmp_path / "other.json").precision == expected
