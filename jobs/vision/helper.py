"""A further process of a training, see jobs.vision.team. Run: python -m jobs.vision.helper RUN_FOLDER PARENT"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import torch

from core.files import FileStore
from core.params import Auguments, Params, check
from core.processes import keep_memory
from core.settings import Settings
from jobs.runtime import Cancelled, Paused
from jobs.vision import hardware, models, team
from jobs.vision.reporter import Outlet
from jobs.vision.train import fit


def main(folder: Path, parent: int) -> None:
    keep_memory()
    spec, mine, pictures = team.joined(folder, parent)
    settings = Settings.from_env()
    params, auguments = check(spec.params, Params), check(spec.auguments, Auguments)
    chosen = hardware.choose(params.training.precision, settings.workers, folder / "hardware.json")
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(params.training.seed)
    network = models.build(params, auguments, len(spec.labels), FileStore(settings.files_url))
    with contextlib.suppress(Cancelled, Paused):
        fit(
            network,
            params,
            auguments,
            pictures["train"],
            pictures["valid"],
            chosen,
            folder / "checkpoints",
            Outlet.silent(),
            len(spec.labels),
            team=mine,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
