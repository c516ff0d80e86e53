from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from core.events import Wish
from core.files import FileStore
from core.params import ARCHITECTURES, Auguments, Params, parse_yaml
from core.params.models import ModelParams
from jobs.runtime import Paused
from jobs.vision import architectures, checkpoints, models, optimisers
from jobs.vision.data import Pictures, Rows
from jobs.vision.hardware import Hardware
from jobs.vision.imaging import normalize
from jobs.vision.reporter import Outlet
from jobs.vision.train import fit

QUIET = Outlet.silent()
CPU = Hardware("cpu", "fp32", 1)


def test_the_forms_list_is_the_list_of_files() -> None:
    assert sorted(ARCHITECTURES) == architectures.registered()
    assert list(get_args(ModelParams.model_fields["architecture"].annotation)) == list(ARCHITECTURES)
    for name, known in ARCHITECTURES.items():
        assert known.smallest == architectures.get(name).SMALLEST


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_each_answers_its_smallest_images_and_knows_its_layers(name: str) -> None:
    code = architectures.get(name)
    network = code.build(5, code.SMALLEST)
    assert network.eval()(torch.zeros(2, 3, code.SMALLEST, code.SMALLEST)).shape == (2, 5)
    groups = optimisers.layer_groups(network, code.LAYERS)
    assert all(groups) and sum(map(len, groups)) == len(list(network.parameters()))
    assert groups[-1][-1].shape == (5,), "the last group is the layer that answers"
    order = [id(weight) for weight in network.parameters()]
    firsts = [min(order.index(id(weight)) for weight in group) for group in groups]
    assert firsts == sorted(firsts) or name == "vit_b_16", "from the input to the output"


def test_earlier_layers_learn_slower(tmp_path: Path) -> None:
    params = parse_yaml("training: {layer_decay: 0.5, learning_rate: 0.08, scheduler: none}", Params)
    network = models.build(params, Auguments(), 3, FileStore(str(tmp_path)))
    optimizer = optimisers.build(network, params, 10)
    assert [group["lr"] for group in optimizer.param_groups] == [0.08, 0.04, 0.02, 0.01, 0.005, 0.0025]
    assert optimizer.param_groups[0]["params"][0] is network.fc.weight
    together = parse_yaml("training: {learning_rate: 0.08}", Params)
    assert len(optimisers.rates(network, together)) == 1


def pictures(n: int, size: int = 32) -> Pictures:
    random = np.random.default_rng(n)
    targets = np.arange(n) % 2
    pixels = random.integers(0, 100, (n, 3, size, size)) + 100 * targets[:, None, None, None]
    rows = Rows(np.arange(n), ("",) * n, targets)
    return Pictures(rows, torch.from_numpy(pixels.astype(np.uint8)))


def trained(folder: Path, training: str, outlet: Outlet = QUIET, augmentation: str = "{}") -> dict[str, Any]:
    """The weights before, and those of the best epoch."""
    params = parse_yaml(
        f"model: {{architecture: small_cnn}}\ntraining: {{batch_size: 8, {training}}}\ndata: {{image_size: 32}}",
        Params,
    )
    auguments = parse_yaml(f"augmentation: {augmentation}", Auguments)
    torch.manual_seed(1)
    network = models.build(params, auguments, 2, FileStore(str(folder)))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fit(network, params, auguments, pictures(32), pictures(10), CPU, folder / "checkpoints", outlet, 2)
    return {"before": before, "best": checkpoints.weights_of(checkpoints.best(folder / "checkpoints"))}


def test_a_frozen_backbone_does_not_move_and_thaws(tmp_path: Path) -> None:
    frozen = trained(tmp_path / "frozen", "epochs: 2, freeze_epochs: 2, weight_decay: 0.1")
    for name, value in frozen["best"].items():
        assert torch.equal(value, frozen["before"][name]) != name.startswith("head"), name
    thawed = trained(tmp_path / "thawed", "epochs: 2, freeze_epochs: 1, seed: 1")
    last = torch.load(tmp_path / "thawed/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert not torch.equal(last["network.layer1.0.weight"], thawed["before"]["layer1.0.weight"])


def test_the_average_is_measured_and_exported_and_a_resumed_training_has_it(tmp_path: Path) -> None:
    text = "epochs: 3, ema_decay: 0.9, class_weights: balanced, layer_decay: 0.8, freeze_epochs: 1"
    mixing = "{mixup: {enabled: true}, cutmix: {enabled: true}, rand_augment: {enabled: true}}"
    whole = trained(tmp_path / "whole", text, augmentation=mixing)["best"]
    last = torch.load(tmp_path / "whole/checkpoints/last.ckpt", weights_only=True)
    own, average = last["current_model_state"], last["state_dict"]
    assert own.keys() == average.keys()
    assert not torch.equal(own["network.head.weight"], average["network.head.weight"])

    steps = 0

    def wanted() -> str | None:
        nonlocal steps
        steps += 1
        return Wish.PAUSE if steps == 6 else None

    with pytest.raises(Paused):
        trained(tmp_path / "half", text, replace(QUIET, wanted=wanted), mixing)
    resumed = trained(tmp_path / "half", text, augmentation=mixing)["best"]
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    torch.testing.assert_close(
        torch.load(tmp_path / "half/checkpoints/last.ckpt", weights_only=True)["current_model_state"], own,
        rtol=0, atol=0,
    )  # fmt: skip


class Hungry(torch.nn.Module):
    """A network without statistics of batches that has memory for `most` images at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.head = torch.nn.Linear(3 * 32 * 32, 2)
        self.most = most

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training and len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return self.head(images.flatten(1))


def test_a_batch_that_does_not_fit_is_computed_in_parts_that_give_the_same(tmp_path: Path) -> None:
    params = parse_yaml(
        "training: {batch_size: 8, epochs: 2, learning_rate: 0.01}\ndata: {image_size: 32}", Params
    )
    told: list[tuple[int, int]] = []
    found = {}
    for most in (8, 3):
        folder = tmp_path / str(most)
        outlet = replace(QUIET, smaller=lambda step, parts: told.append((step, parts)))
        done = fit(Hungry(most), params, Auguments(), pictures(30), pictures(10), CPU, folder, outlet, 2)
        found[most] = checkpoints.weights_of(folder / "last.ckpt")
        assert done.parts == {8: 1, 3: 4}[most]
    assert told == [(1, 4)]  # two parts of four are still too many
    assert torch.allclose(found[8]["head.weight"], found[3]["head.weight"], atol=1e-4)
    with pytest.raises(torch.OutOfMemoryError):
        fit(Hungry(1), params, Auguments(), pictures(30), pictures(10), CPU, tmp_path / "1", QUIET, 2)


STILL = "{rotation: {enabled: false}, crop: {enabled: false}, color_jitter: {enabled: false}}"


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_what_a_frozen_backbone_sees_is_computed_once_and_says_the_same(
    architecture: str, tmp_path: Path
) -> None:
    """The last layer, given what was computed before, answers as the whole network does."""
    from jobs.vision import features

    params = parse_yaml(
        f"model: {{architecture: {architecture}}}\ntraining: {{epochs: 2, freeze_epochs: 2}}\n"
        "data: {image_size: 32}",
        Params,
    )
    auguments = parse_yaml(f"augmentation: {STILL}", Auguments)
    assert features.steady(params, auguments)
    assert not features.steady(params, Auguments())  # augmentation makes every epoch another
    thawing = params.model_copy(update={"training": params.training.model_copy(update={"epochs": 3})})
    assert not features.steady(thawing, auguments)
    torch.manual_seed(0)
    network = models.build(params, auguments, 2, FileStore(str(tmp_path)))
    images = pictures(6)
    given = features.seen(network, params, auguments, images, CPU, 4)
    network.eval()
    with torch.no_grad():
        floats = normalize(images.pixels.float() / 255.0, auguments.preprocessing.model_dump())
        expected = network(floats.contiguous(memory_format=torch.channels_last))
        found = features.head_of(network, architecture)(given.pixels)
    assert torch.allclose(found, expected, atol=1e-4)


def test_a_frozen_training_by_features_moves_the_last_layer_only(tmp_path: Path) -> None:
    found = trained(tmp_path, "epochs: 3, freeze_epochs: 3, learning_rate: 0.01", augmentation=STILL)
    for name, value in found["best"].items():
        assert torch.equal(value, found["before"][name]) != name.startswith("head"), name
