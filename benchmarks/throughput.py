"""Training throughput of resnet18 (64 px, batch 64) against a plain PyTorch loop over ImageFolder in fp32.

    .venv/bin/python -m benchmarks.throughput --data cifar10-8k.tar.gz [--images 2560]

Both flip and cut out at random, use AdamW, and run on the same machine in turns: the plain loop, ours
for two epochs, the plain loop again; its better turn counts. Ours counts its one decoding of the
images. Prints a table; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader, Subset
from torchvision import transforms

from core.files import FileStore
from core.params import Auguments, Params, parse_yaml
from jobs.vision import architectures, hardware, models
from jobs.vision.data import Rows, decode
from jobs.vision.reporter import Outlet
from jobs.vision.train import fit

SIZE, BATCH, EPOCHS, LABELS = 64, 64, 2, 10
PARAMS = f"training: {{epochs: {EPOCHS}, batch_size: {BATCH}}}\ndata: {{image_size: {SIZE}}}"
AUGUMENTS = """
augmentation:
  horizontal_flip: {enabled: true}
  rotation: {enabled: false}
  color_jitter: {enabled: false}
"""


def plain(folder: Path, images: int) -> float:
    """Seconds for one epoch of what people write first."""
    change = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIZE, scale=(0.8, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    data = torchvision.datasets.ImageFolder(str(folder), transform=change)
    chosen = np.random.default_rng(0).permutation(len(data))[:images]
    loader = DataLoader(Subset(data, chosen.tolist()), batch_size=BATCH, shuffle=True, num_workers=2)
    network = architectures.get("resnet18").build(LABELS, SIZE)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.001)
    network.train()
    start = time.perf_counter()
    for x, y in loader:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    return time.perf_counter() - start


def ours(folder: Path, images: int, scratch: Path) -> tuple[float, float, hardware.Hardware]:
    """Seconds for decoding once, seconds for EPOCHS epochs, and what was computed on."""
    params, auguments = parse_yaml(PARAMS, Params), parse_yaml(AUGUMENTS, Auguments)
    chosen = hardware.choose("auto", 1, scratch / "hardware.json")
    torch.set_num_threads(chosen.threads)
    files = sorted(folder.glob("*/*.jpg"))
    names = sorted({path.parent.name for path in files})
    order = np.random.default_rng(0).permutation(len(files))[: images + BATCH]
    rows = Rows(
        order,
        tuple(str(files[i].relative_to(folder)) for i in order),
        np.array([names.index(files[i].parent.name) for i in order]),
    )
    start = time.perf_counter()
    pictures = [
        decode(
            FileStore(str(folder)),
            part,
            size=SIZE,
            preprocessing=auguments.preprocessing.model_dump(),
            max_pixels=10**6,
            threads=chosen.threads,
            scratch=scratch / "pixels",
            advanced=lambda count: None,
            unreadable=lambda image, reason: None,
        )
        for part in (rows.keep(np.arange(len(rows)) < images), rows.keep(np.arange(len(rows)) >= images))
    ]
    decoding = time.perf_counter() - start
    outlet = Outlet.silent()
    network = models.build(params, auguments, LABELS, FileStore(str(folder)))
    trained = fit(network, params, auguments, pictures[0], pictures[1], chosen, scratch, outlet, LABELS)
    return decoding, EPOCHS * images / trained.images_per_second, chosen


def make_up(folder: Path, images: int) -> None:
    """Random 32 × 32 JPEG files in a folder for each label."""
    random = np.random.default_rng(0)
    for index in range(images):
        path = folder / f"label-{index % LABELS}" / f"{index:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((32, 32)).save(path, "JPEG")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument(
        "--data", type=Path, help="tar with train/<label>/<name>.jpg; made up when not given"
    )
    arguments.add_argument("--images", type=int, default=2560)
    given = arguments.parse_args()
    torch.set_num_threads(hardware.cores())
    with tempfile.TemporaryDirectory(prefix="veritrain-bench-") as temporary:
        scratch = Path(temporary)
        folder = scratch / "data" / "train"
        images = given.images // BATCH * BATCH
        if given.data:
            with tarfile.open(given.data) as archive:
                archive.extractall(scratch / "data", filter="data")
        else:
            make_up(folder, images + BATCH)
        first = plain(folder, images)
        decoding, training, chosen = ours(folder, images, scratch)
        second = plain(folder, images)
    peer = images / min(first, second)
    own = EPOCHS * images / (decoding + training)
    target = 1.3 if chosen.precision == "bf16" else 1.0
    print(f"{'':34}{'images/s':>10}")
    print(
        f"{'plain loop, ImageFolder, fp32':34}{peer:10.1f}   (turns: {images / first:.1f}, {images / second:.1f})"
    )
    print(
        f"{'Veritrain, ' + chosen.precision:34}{own:10.1f}   (decoding {decoding:.1f} s, training {training:.1f} s)"
    )
    print(f"{'ratio':34}{own / peer:10.2f}   (wanted: at least {target})")
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
                "ok": own / peer >= target,
            }
        )
    )


if __name__ == "__main__":
    main()
