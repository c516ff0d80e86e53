"""A version's ONNX file answers as its network does, for any number of images."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

from core.params import Auguments, parse_yaml
from jobs.vision import architectures, imaging, onnx_file

PATCHED = "preprocessing: {patching: {enabled: true, size: 32, stride: 16, combine: %s}}"


def packed(folder: Path, name: str, side: int, auguments: str = "{}") -> dict[str, Any]:
    """A version's files with random weights; its configuration."""
    done = parse_yaml(auguments, Auguments).preprocessing.model_dump(mode="json")
    patching = done["patching"]
    config = {
        "labels": ["a", "b", "c"],
        "image_size": side,
        "network_size": patching["size"] if patching["enabled"] else side,
        "preprocessing": done,
    }
    torch.manual_seed(1)
    network = architectures.get(name).build(3, config["network_size"])
    with torch.no_grad():  # as after a training: no mean, no variance and no weight is what it began with
        network.train()(torch.randn(8, 3, config["network_size"], config["network_size"]) * 2)
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight) * 0.02)
    save_file(network.state_dict(), folder / "weights.safetensors")
    shutil.copyfile(architectures.FOLDER / f"{name}.py", folder / "architecture.py")
    return config


@pytest.mark.parametrize(
    ("name", "side", "auguments"),
    [
        ("small_cnn", 40, "{}"),
        ("resnet18", 32, "{}"),
        ("small_cnn", 64, PATCHED % "mean"),
        ("small_cnn", 64, PATCHED % "vote"),
    ],
)
def test_its_answers_are_the_networks(tmp_path: Path, name: str, side: int, auguments: str) -> None:
    config = packed(tmp_path, name, side, auguments)
    assert onnx_file.write(tmp_path, config) == ""
    pixels = np.random.default_rng(3).integers(0, 256, (5, side, side, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    [found] = session.run(None, {"pixels": pixels})
    done = config["preprocessing"]
    with torch.no_grad():
        images = imaging.normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255.0, done)
        wanted = (
            imaging.answers(imaging.network_beside(config, tmp_path), images, done).softmax(dim=1).numpy()
        )
    assert np.ptp(wanted, axis=0).max() > 1e-4, "the images are told apart at all"
    assert np.abs(found - wanted).max() < onnx_file.TOLERANCE
    assert found.sum(axis=1) == pytest.approx(1)


def test_a_network_that_onnx_has_no_words_for_leaves_no_file(tmp_path: Path) -> None:
    config = packed(tmp_path, "small_cnn", 32)
    code = (tmp_path / "architecture.py").read_text()
    odd = "logits: torch.Tensor = torch.special.i0e(x[:, :3, 0, 0]) + self.head("
    (tmp_path / "architecture.py").write_text(code.replace("logits: torch.Tensor = self.head(", odd))
    assert "could not be written as ONNX" in onnx_file.write(tmp_path, config)
    assert not (tmp_path / "model.onnx").exists()


def test_a_file_that_answers_otherwise_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = packed(tmp_path, "small_cnn", 32)
    monkeypatch.setattr(onnx_file, "TOLERANCE", -1.0)
    assert "differ from the network's" in onnx_file.write(tmp_path, config)
    assert not (tmp_path / "model.onnx").exists()
