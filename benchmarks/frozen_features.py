"""A frozen backbone without augmentation: the second epoch against the first, which computes the features.

    .venv/bin/python -m benchmarks.frozen_features --data cifar10-8k.tar.gz [--images 7680]

resnet18 at 128 px, two epochs; the first is timed from the start of the training, both with their validation and
checkpoints. Prints a table; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.pictures import LABELS, decoded, drawn, make_up, unpack
from core.files import FileStore
from core.params import Auguments, Params, parse_yaml
from jobs.vision import hardware, models
from jobs.vision.reporter import Outlet
from jobs.vision.train import fit

PARAMS = "training: {epochs: 2, freeze_epochs: 2}\ndata: {image_size: 128}"
AUGUMENTS = (
    "augmentation: {rotation: {enabled: false}, crop: {enabled: false}, color_jitter: {enabled: false}}"
)
WANTED = 20.0
VALID = 256


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument(
        "--data", type=Path, help="tar with train/<label>/<name>.jpg; made up when not given"
    )
    arguments.add_argument("--images", type=int, default=5120)
    given = arguments.parse_args()
    params, auguments = parse_yaml(PARAMS, Params), parse_yaml(AUGUMENTS, Auguments)
    with tempfile.TemporaryDirectory(prefix="veritrain-bench-") as temporary:
        scratch = Path(temporary)
        folder = scratch / "data" / "train"
        if given.data:
            unpack(given.data, scratch / "data")
        else:
            make_up(folder, given.images + VALID)
        rows = drawn(folder, given.images + VALID)
        chosen = hardware.choose("auto", 1, scratch / "hardware.json")
        torch.set_num_threads(chosen.threads)
        inside = np.arange(len(rows)) < len(rows) - VALID
        pictures = [
            decoded(folder, part, 128, auguments, chosen.threads, scratch / "pixels")
            for part in (rows.keep(inside), rows.keep(~inside))
        ]
        network = models.build(params, auguments, LABELS, FileStore(str(folder)))
        marks = [time.perf_counter()]
        outlet = replace(Outlet.silent(), judged=lambda *_: marks.append(time.perf_counter()))
        fit(network, params, auguments, *pictures, chosen, scratch / "run", outlet, LABELS)
    first, second = (after - before for before, after in itertools.pairwise(marks))
    print(f"first epoch  {first:8.2f} s   (features of {len(rows)} images, {chosen.precision})")
    print(f"second epoch {second:8.2f} s")
    print(f"ratio        {first / second:8.1f}     (wanted: at least {WANTED:g})")
    told = {"benchmark": "frozen_features", "first_s": round(first, 2), "second_s": round(second, 3)}
    told |= {"ratio": round(first / second, 1), "target": WANTED, "ok": first / second >= WANTED}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
