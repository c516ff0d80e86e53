"""Where a model looks, for networks of every make."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from core.files import FileStore
from core.params import Auguments, Params, parse_yaml
from core.settings import Settings
from core.spec import ExplainSpec
from jobs import explain
from jobs.vision import models, package
from jobs.vision.gradcam import Looker
from tests.jobs.vision.helpers import Finished, make_spec, png

COLOURS = '''
import torch


class Colours(torch.nn.Module):
    """Says which colour there is more of, by the mean over all places."""

    def __init__(self, labels):
        super().__init__()
        self.features = torch.nn.Conv2d(3, 3, 4, stride=4, bias=False)
        self.head = torch.nn.Linear(3, labels, bias=False)

    def forward(self, x):
        return self.head(self.features(x).mean(dim=(2, 3)))


def build(labels, image_size):
    return Colours(labels)
'''


@pytest.mark.parametrize(
    "architecture", ["resnet18", "mobilenet_v3_small", "convnext_tiny", "vit_b_16", "swin_t"]
)
def test_every_kind_of_network_says_where_it_looked(
    vision_settings: Settings, tmp_path: Path, architecture: str
) -> None:
    text = f"model: {{architecture: {architecture}}}\ndata: {{image_size: 64}}"
    params, auguments = parse_yaml(text, Params), Auguments()
    spec = make_spec(vision_settings, 950, text, n=12)
    torch.manual_seed(0)
    network = models.build(params, auguments, 3, FileStore(vision_settings.files_url))
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    made = package.write(tmp_path / "model", spec, params, auguments, weights, 10**6, onnx=False)
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    found = Looker(made.folder).look(png(image))
    assert found is not None
    pixels, label, confidence = found
    assert pixels.shape == (64, 64, 3) and label in spec.labels and 1 / 3 <= confidence <= 1


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("patching", [False, True])
def test_the_heat_lies_where_the_evidence_is(
    finished: Finished, tmp_path: Path, corner: tuple[int, int], patching: bool
) -> None:
    """A network that tells colours, and a red square in one corner of a blue image."""
    spec_text = "preprocessing: {resize: stretch, normalize_mean: [0, 0, 0], normalize_std: [1, 1, 1]"
    spec_text += ", patching: {enabled: true, size: 32, stride: 32, combine: mean}}" if patching else "}"
    auguments = parse_yaml(spec_text, Auguments)
    text = "model: {architecture: small_cnn}\ndata: {image_size: 64}"
    spec = make_spec(finished.settings, 951, text, n=12)
    params = parse_yaml(text, Params)
    network = models.build(params, auguments, 3, FileStore(finished.settings.files_url))
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    folder = package.write(tmp_path / "model", spec, params, auguments, weights, 10**6, onnx=False).folder
    (folder / "architecture.py").write_text(COLOURS)
    kernel = torch.zeros(3, 3, 4, 4)
    for colour in range(3):
        kernel[colour, colour] = 1 / 16
    save_file(
        {"features.weight": kernel, "head.weight": torch.diag(torch.tensor([9.0, 1.0, 1.0])).contiguous()},
        folder / "weights.safetensors",
    )
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[..., 2] = 40
    top, left = corner[0] * 32, corner[1] * 32
    image[top + 8 : top + 24, left + 8 : left + 24, 0] = 255
    found = Looker(folder).look(png(image))
    assert found is not None
    pixels, label, _confidence = found
    assert label == spec.labels[0]
    painted = np.abs(pixels.astype(int) - image).sum(axis=2)
    inside = painted[top : top + 32, left : left + 32].sum()
    assert inside > 0.9 * painted.sum() > 0


def test_a_file_that_is_no_image_is_left_out_of_the_answer(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = finished.settings
    files = FileStore(settings.files_url)
    good = files.put(png(np.full((20, 20, 3), 200, np.uint8)), "images", "png")
    bad = files.put(b"no image", "images", "png")
    monkeypatch.setenv("VERITRAIN_FILES_URL", settings.files_url)
    folder = settings.artifacts_dir / "runs" / "1" / "model"
    spec = ExplainSpec(folder=str(folder), paths=(good, bad, "images/gone.png"))
    first, second, third = explain.run(spec.model_dump_json())["images"]
    assert second is None and third is None
    shown = Image.open(io.BytesIO(base64.b64decode(first["png"])))
    assert shown.size == (32, 32) and first["label"] in finished.spec.labels
