"""What a training's speed costs in accuracy: resnet18 from scratch against a plain PyTorch loop in fp32, three seeds.

    .venv/bin/python -m benchmarks.accuracy --data cifar10-8k.tar.gz [--size 128] [--epochs 10] [--seeds 3]

Both learn from train/, draw flips and cut-outs, and use AdamW with the one-cycle rate of params.yaml's defaults; both
are measured on test/ after the last epoch. On a GPU where there is one: on two cores it takes hours. Prints a table;
the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.pictures import LABELS, decoded, drawn, unpack
from benchmarks.throughput import AUGUMENTS, BATCH, DEVICE, batches
from core.files import FileStore
from core.params import Auguments, Params, parse_yaml
from jobs.vision import architectures, hardware, models
from jobs.vision.data import Pictures
from jobs.vision.reporter import Outlet
from jobs.vision.train import fit

PARAMS = (
    "training: {{epochs: {epochs}, batch_size: {batch}, seed: {seed}}}\n"
    "data: {{image_size: {size}}}\nearly_stopping: {{enabled: false}}"
)
CHANGES = parse_yaml(AUGUMENTS, Auguments)
POINTS = 1.0
"""Of a hundred, that ours may be below the plain loop."""


def plain(folder: Path, params: Params) -> float:
    """Share of test/ that the plain loop's network gets right."""
    size, chosen = params.data.image_size, params.training
    torch.manual_seed(chosen.seed)
    train, test = batches(folder / "train", size), batches(folder / "test", size, learning=False)
    network = architectures.get("resnet18").build(LABELS, size).to(DEVICE)
    optimizer = torch.optim.AdamW(
        network.parameters(), chosen.learning_rate, weight_decay=chosen.weight_decay
    )
    steps = chosen.epochs * len(train)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, chosen.learning_rate, total_steps=steps)
    network.train()
    for _ in range(chosen.epochs):
        for x, y in train:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(x.to(DEVICE)), y.to(DEVICE)).backward()
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        right = [(network(x.to(DEVICE)).argmax(1).cpu() == y).float() for x, y in test]
    return float(torch.cat(right).mean())


def ours(
    folder: Path, pictures: list[Pictures], params: Params, chosen: hardware.Hardware, scratch: Path
) -> float:
    """Share of test/ that is right after the last epoch of a training of Veritrain."""
    found: dict[str, float] = {}
    outlet = replace(Outlet.silent(), metric=lambda step, epoch, values: found.update(values))
    torch.manual_seed(params.training.seed)
    network = models.build(params, CHANGES, LABELS, FileStore(str(folder)))
    fit(network, params, CHANGES, pictures[0], pictures[1], chosen, scratch, outlet, LABELS)
    return found["valid_accuracy"]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument(
        "--data", type=Path, required=True, help="tar with train/ and test/<label>/<name>.jpg"
    )
    arguments.add_argument("--size", type=int, default=128)
    arguments.add_argument("--epochs", type=int, default=10)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="veritrain-bench-") as temporary:
        scratch = Path(temporary)
        unpack(given.data, scratch / "data")
        chosen = hardware.choose(given.precision, 1, scratch / "hardware.json")
        torch.set_num_threads(chosen.threads)
        pictures = [
            decoded(
                scratch / "data" / part,
                drawn(scratch / "data" / part),
                given.size,
                CHANGES,
                chosen.threads,
                scratch / part,
            )
            for part in ("train", "test")
        ]
        found = []
        print(f"resnet18, {given.size} px, {given.epochs} epochs, on {hardware.name(chosen)}")
        print(f"{'seed':>6}{'plain, fp32':>14}{'Veritrain, ' + chosen.precision:>18}")
        for seed in range(given.seeds):
            params = parse_yaml(
                PARAMS.format(epochs=given.epochs, batch=BATCH, seed=seed, size=given.size), Params
            )
            own = ours(scratch / "data", pictures, params, chosen, scratch / f"seed-{seed}")
            peer = plain(scratch / "data", params)
            found.append((peer, own))
            print(f"{seed:>6}{peer:>14.1%}{own:>18.1%}", flush=True)
    peer, own = (100 * float(np.mean(part)) for part in zip(*found, strict=True))
    print(f"{'mean':>6}{peer:>13.1f}%{own:>17.1f}%   (wanted: at most {POINTS:g} point below)")
    told = {"benchmark": "accuracy", "plain_percent": round(peer, 2), "own_percent": round(own, 2)}
    told |= {"seeds": given.seeds, "precision": chosen.precision, "ok": own >= peer - POINTS}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
