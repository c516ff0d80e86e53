"""Training throughput of resnet18 (batch 64) against a plain PyTorch loop over ImageFolder in fp32, timm and fastai.

    .venv/bin/python -m benchmarks.throughput --data cifar10-8k.tar.gz [--size 128] [--images 2560]

All flip and cut out at random, use AdamW, and run on the same machine in turns: the plain loop, timm, fastai, ours
for two epochs, the plain loop again; its better turn counts. Ours runs in a process that is set up as a worker is, and
counts its one decoding of the images. timm is its loader, model and optimizer in the loop of its train script; it and
fastai are left out where they are not installed (`pip install timm fastai`). Prints a table; the last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch.utils.data import DataLoader
from torchvision import transforms

from benchmarks.pictures import LABELS, decoded, drawn, make_up, unpack
from core.files import FileStore
from core.params import Auguments, Params, parse_yaml
from core.processes import keep_memory, wait_briefly
from jobs.vision import architectures, hardware, models
from jobs.vision.reporter import Outlet
from jobs.vision.train import fit

BATCH, EPOCHS, SCALE = 64, 2, (0.8, 1.0)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
PARAMS = "training: {{epochs: {epochs}, batch_size: {batch}}}\ndata: {{image_size: {size}}}"
OVER_PEERS = 1.2
AUGUMENTS = """
augmentation:
  horizontal_flip: {enabled: true}
  rotation: {enabled: false}
  color_jitter: {enabled: false}
"""


def _wait() -> None:
    """Until the device has computed all it was given."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def batches(folder: Path, size: int, *, learning: bool = True) -> DataLoader[Any]:
    """Of a folder for each label, as people write it first; flipped and cut out at random while it learns."""
    cut = [transforms.RandomResizedCrop(size, scale=SCALE), transforms.RandomHorizontalFlip()]
    change = transforms.Compose(
        [
            *(cut if learning else [transforms.Resize((size, size))]),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    data = torchvision.datasets.ImageFolder(str(folder), transform=change)
    return DataLoader(data, batch_size=BATCH, shuffle=learning, num_workers=hardware.cores())


def plain(folder: Path, size: int) -> float:
    """Seconds for one epoch of what people write first."""
    loader = batches(folder, size)
    network = architectures.get("resnet18").build(LABELS, size).to(DEVICE)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.001)
    network.train()
    start = time.perf_counter()
    for x, y in loader:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x.to(DEVICE)), y.to(DEVICE)).backward()
        optimizer.step()
    _wait()
    return time.perf_counter() - start


def with_timm(folder: Path, size: int) -> float:
    """Seconds for one epoch as timm's train script does it: the part of its loop that a processor needs."""
    from timm import create_model
    from timm.data import create_dataset, create_loader
    from timm.optim import create_optimizer_v2

    loader = create_loader(
        create_dataset("", root=str(folder), is_training=True),
        input_size=(3, size, size),
        batch_size=BATCH,
        is_training=True,
        use_prefetcher=False,
        scale=SCALE,
        hflip=0.5,
        color_jitter=0.0,
        num_workers=hardware.cores(),
        device=torch.device(DEVICE),
    )
    network = create_model("resnet18", num_classes=LABELS).to(DEVICE)
    optimizer = create_optimizer_v2(network, opt="adamw", lr=0.001)
    network.train()
    start = time.perf_counter()
    for x, y in loader:
        torch.nn.functional.cross_entropy(network(x.to(DEVICE)), y.to(DEVICE)).backward()
        optimizer.step()
        optimizer.zero_grad()
    _wait()
    return time.perf_counter() - start


def with_fastai(folder: Path, size: int) -> float:
    """Seconds for one epoch of fastai's Learner; it validates one batch, too."""
    from fastai.vision import all as fastai

    files = len(list(folder.glob("*/*")))
    loaders = fastai.ImageDataLoaders.from_folder(
        folder,
        valid_pct=BATCH / files,
        item_tfms=fastai.RandomResizedCrop(size, min_scale=SCALE[0]),
        batch_tfms=[fastai.Flip(), fastai.Normalize.from_stats(*fastai.imagenet_stats)],
        bs=BATCH,
        num_workers=hardware.cores(),
        device=torch.device(DEVICE),
    )
    network = architectures.get("resnet18").build(LABELS, size)
    learner = fastai.Learner(loaders, network, loss_func=fastai.CrossEntropyLossFlat())
    start = time.perf_counter()
    with learner.no_bar(), learner.no_logging():
        learner.fit(1, 0.001)
    return time.perf_counter() - start


def ours(folder: Path, size: int, images: int, scratch: Path) -> tuple[float, float, hardware.Hardware]:
    """Seconds for decoding once, seconds for EPOCHS epochs, and what was computed on."""
    params = parse_yaml(PARAMS.format(epochs=EPOCHS, batch=BATCH, size=size), Params)
    auguments = parse_yaml(AUGUMENTS, Auguments)
    chosen = hardware.choose("auto", 1, scratch / "hardware.json")
    torch.set_num_threads(chosen.threads)
    rows = drawn(folder, images + BATCH)
    start = time.perf_counter()
    pictures = [
        decoded(folder, part, size, auguments, chosen.threads, scratch / "pixels")
        for part in (rows.keep(np.arange(len(rows)) < images), rows.keep(np.arange(len(rows)) >= images))
    ]
    decoding = time.perf_counter() - start
    outlet = Outlet.silent()
    network = models.build(params, auguments, LABELS, FileStore(str(folder)))
    trained = fit(network, params, auguments, pictures[0], pictures[1], chosen, scratch, outlet, LABELS)
    return decoding, EPOCHS * images / trained.images_per_second, chosen


def a_part(folder: Path, images: int, part: Path) -> Path:
    """Links to so many of the files, drawn at random, in a folder for each label."""
    files = sorted(folder.glob("*/*"))
    for index in np.random.default_rng(0).permutation(len(files))[:images]:
        place = part / files[index].relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(files[index])
    return part


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument(
        "--data", type=Path, help="tar with train/<label>/<name>.jpg; made up when not given"
    )
    arguments.add_argument("--size", type=int, default=128)
    arguments.add_argument("--images", type=int, default=2560)
    given = arguments.parse_args()
    torch.set_num_threads(hardware.cores())
    with tempfile.TemporaryDirectory(prefix="veritrain-bench-") as temporary:
        scratch = Path(temporary)
        folder = scratch / "data" / "train"
        images = given.images // BATCH * BATCH
        if given.data:
            unpack(given.data, scratch / "data")
        else:
            make_up(folder, images + BATCH)
        part = a_part(folder, images, scratch / "part")
        first = plain(part, given.size)
        peers = {
            name: images / turn(part, given.size)
            for name, turn in (("timm", with_timm), ("fastai", with_fastai))
            if importlib.util.find_spec(name)
        }
        wait_briefly()
        with ProcessPoolExecutor(1, get_context("spawn"), keep_memory) as worker:
            decoding, training, chosen = worker.submit(ours, folder, given.size, images, scratch).result()
        second = plain(part, given.size)
    peer = images / min(first, second)
    own = EPOCHS * images / (decoding + training)
    target = 2.0 if chosen.precision == "bf16" else 1.3
    print(f"resnet18, {given.size} px, {images} images")
    print(f"{'':34}{'images/s':>10}")
    print(
        f"{'plain loop, ImageFolder, fp32':34}{peer:10.1f}   (turns: {images / first:.1f}, {images / second:.1f})"
    )
    print(
        f"{'Veritrain, ' + chosen.precision:34}{own:10.1f}   (decoding {decoding:.1f} s, training {training:.1f} s)"
    )
    print(f"{'ratio':34}{own / peer:10.2f}   (wanted: at least {target})")
    for name, rate in peers.items():
        print(f"{name:34}{rate:10.1f}   ratio {own / rate:.2f}   (wanted: at least {OVER_PEERS})")
    print(
        json.dumps(
            {
                "benchmark": "throughput",
                "plain_images_per_second": round(peer, 1),
                "own_images_per_second": round(own, 1),
                "ratio": round(own / peer, 3),
                "target": target,
                "precision": chosen.precision,
                "threads": chosen.threads,
                "size": given.size,
                "peers": {name: round(rate, 1) for name, rate in peers.items()},
                "ok": own / peer >= target and all(own >= OVER_PEERS * rate for rate in peers.values()),
            }
        )
    )


if __name__ == "__main__":
    main()
