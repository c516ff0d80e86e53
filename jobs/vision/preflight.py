"""A training tried on a few images: does it run, how long will it take, does it fit, does what it makes load again?"""

from __future__ import annotations

import ctypes
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch.nn import functional as F

from core.errors import VeritrainError
from core.events import Type
from core.params import Auguments, Params, check, network_side
from core.preflight_lines import BAD, OK, WARN, Line
from core.spec import PreflightSpec, RunSpec
from jobs.runtime import Cancelled, Job, classify
from jobs.vision import checkpoints, hardware, models, package
from jobs.vision.data import Pictures, Rows, decode, read_manifest
from jobs.vision.hardware import Hardware
from jobs.vision.imaging import answers, normalize
from jobs.vision.pyfunc_model import Classifier
from jobs.vision.reporter import Outlet
from jobs.vision.train import fit

STEPS, MOST_STEPS = 3, 16
"""Real steps; those of the first half warm up and are not counted."""
STEP_SECONDS = 15.0
"""Time for the real steps: where they are quick there are more of them, since the first are slow."""
EVALUATED = 64
PROBES = (2, 8)
"""Batch sizes at which memory is measured; what an image costs is the slope between them."""
LARGEST = 1024
FREE = 0.85
"""Share of the free memory that a training may take."""
DROPPED = 0.01
"""Share of unreadable images that is worth a word."""
SAME = 2e-2
"""Difference of probabilities between the network that was trained and the model that loads again: bf16 rounds."""


def main(job: Job, spec: PreflightSpec) -> None:
    """Emit a result with `lines` (core.preflight.Line) and `figures`; it never fails for what the training would."""
    began = time.monotonic()
    run = spec.trial
    folder = job.folder / "preflight"
    lines: list[Line] = []
    figures: dict[str, Any] = {}
    try:
        params, auguments = check(run.params, Params), check(run.auguments, Auguments)
        job.progress(phase="preflight", fraction=0.05)
        splits = read_manifest(job.files, run)
        chosen = hardware.choose(
            params.training.precision, job.settings.workers, job.folder / "hardware.json"
        )
        torch.set_num_threads(chosen.threads)
        lines += _missing(splits, run.labels)
        train, valid = _sample(job, params, auguments, splits, lines, figures)
        job.progress(phase="preflight", fraction=0.3)
        fits = _memory(job, run, params, auguments, chosen, lines, figures)
        job.progress(phase="preflight", fraction=0.5)
        if fits:
            _try(job, run, params, auguments, chosen, train, valid, splits, folder, lines, figures)
    except Cancelled:
        raise
    except Exception as error:
        kind, message, next_step = classify(error)
        if isinstance(error, VeritrainError):
            message = error.text()
        lines.append(Line("fails", BAD, {"kind": kind, "message": message, "next_step": next_step}))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures["seconds"] = round(time.monotonic() - began, 1)
    job.emit(Type.RESULT, {"lines": [line.as_json() for line in lines], "figures": figures})


def _heed(job: Job) -> None:
    if job.wanted() == "cancel":
        raise Cancelled


def _missing(splits: dict[str, Rows], labels: Iterable[str]) -> list[Line]:
    """A label without images in a split cannot be learnt, or not be measured."""
    found = []
    for place, label in enumerate(labels):
        without = [name for name, rows in splits.items() if not (rows.targets == place).any()]
        if without:
            found.append(Line("missing", WARN, {"label": label, "splits": without}))
    return found


def _sample(
    job: Job,
    params: Params,
    auguments: Auguments,
    splits: dict[str, Rows],
    lines: list[Line],
    figures: dict[str, Any],
) -> tuple[Pictures, Pictures]:
    """A few images of train and valid, spread over the split; how long reading takes and how many cannot be read."""
    rng = np.random.default_rng(params.training.seed)
    batch = params.training.batch_size
    wanted = {"train": max(batch * STEPS, min(batch * MOST_STEPS, LARGEST)), "valid": EVALUATED}
    bad: list[tuple[int, str]] = []
    found, read, began = {}, 0, time.monotonic()
    for name, most in wanted.items():
        rows = splits[name]
        kept = np.zeros(len(rows), dtype=bool)
        kept[rng.permutation(len(rows))[:most]] = True
        part = rows.keep(kept)
        read += len(part)
        found[name] = decode(
            job.files,
            part,
            size=params.data.image_size,
            preprocessing=auguments.preprocessing.model_dump(mode="json"),
            max_pixels=job.settings.max_pixels,
            threads=params.data.workers or hardware.cores(),
            scratch=job.folder / f"{name}.pixels",
            advanced=lambda _count: _heed(job),
            unreadable=lambda image_id, reason: bad.append((image_id, reason)),
        )
    figures["read_seconds"] = (time.monotonic() - began) / read * sum(len(rows) for rows in splits.values())
    share = len(bad) / read
    figures["dropped"] = share
    if bad:
        fields = {"share": share, "image": bad[0][0], "reason": bad[0][1]}
        lines.append(Line("dropped", WARN if share > DROPPED else OK, fields))
    return found["train"], found["valid"]


def _memory(
    job: Job,
    run: RunSpec,
    params: Params,
    auguments: Auguments,
    chosen: Hardware,
    lines: list[Line],
    figures: dict[str, Any],
) -> bool:
    """Whether the batch size fits, and which power of two would; measured on two small batches."""
    torch.manual_seed(params.training.seed)
    network = models.build(params, auguments, len(run.labels), job.files)
    network.to(chosen.device).to(memory_format=torch.channels_last).train()
    side = network_side(params, auguments)
    needs = [_step_bytes(network, side, chosen, batch) for batch in PROBES]
    began = time.monotonic()
    _step_bytes(network, side, chosen, PROBES[1])  # warm by now
    figures["image_seconds"] = (time.monotonic() - began) / PROBES[1]
    per_image = max((needs[1] - needs[0]) / (PROBES[1] - PROBES[0]), 1.0)
    fixed = max(needs[0] - PROBES[0] * per_image, 0.0)
    # Weights, gradients and the optimiser's two moments.
    fixed += 4 * sum(weight.numel() * weight.element_size() for weight in network.parameters())
    on_gpu = chosen.device == "cuda"
    free = float(torch.cuda.mem_get_info()[0] if on_gpu else psutil.virtual_memory().available)
    batch = params.training.batch_size
    need = fixed + per_image * batch
    fitting = 2
    while fitting * 2 <= LARGEST and fixed + per_image * fitting * 2 <= FREE * free:
        fitting *= 2
    figures |= {"need_bytes": need, "free_bytes": free, "fitting_batch": fitting}
    fields = {"need": need, "free": free, "batch": batch, "fitting": fitting}
    if need > FREE * free:
        lines.append(Line("memory", BAD, fields))
        return False
    lines.append(Line("memory", OK, fields))
    return True


def _step_bytes(network: torch.nn.Module, side: int, chosen: Hardware, batch: int) -> float:
    """Most memory that one forward and backward pass took above what was taken before it."""
    images = torch.rand(batch, 3, side, side, device=chosen.device).contiguous(
        memory_format=torch.channels_last
    )
    targets = torch.zeros(batch, dtype=torch.int64, device=chosen.device)
    kind = torch.bfloat16 if chosen.precision == "bf16" else torch.float32
    before = _mark(chosen)
    with torch.autocast(chosen.device, dtype=kind, enabled=chosen.precision == "bf16"):
        loss = F.cross_entropy(network(images).float(), targets)
    loss.backward()
    taken = _peak(chosen) - before
    network.zero_grad(set_to_none=True)
    return float(max(taken, 0))


def _mark(chosen: Hardware) -> float:
    """Forget the peak so far; memory taken now, in bytes."""
    if chosen.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return float(torch.cuda.memory_allocated())
    with suppress(OSError, AttributeError):  # glibc: memory that grows into what was freed would not be seen
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):  # Linux: sets the high-water mark back (proc(5), clear_refs)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return float(psutil.Process().memory_info().rss)


def _peak(chosen: Hardware) -> float:
    if chosen.device == "cuda":
        return float(torch.cuda.max_memory_allocated())
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    return float(psutil.Process().memory_info().rss)


def _try(
    job: Job,
    run: RunSpec,
    params: Params,
    auguments: Auguments,
    chosen: Hardware,
    train: Pictures,
    valid: Pictures,
    splits: dict[str, Rows],
    folder: Path,
    lines: list[Line],
    figures: dict[str, Any],
) -> None:
    """A few real steps, one evaluation, a checkpoint; then the model is packed, loaded and asked again."""
    ends = [time.monotonic()]

    def wanted() -> None:
        if chosen.device == "cuda":
            torch.cuda.synchronize()  # or only the giving of orders would be timed
        ends.append(time.monotonic())
        _heed(job)

    outlet = replace(Outlet.silent(), wanted=wanted)
    short = params.model_copy(update={"training": params.training.model_copy(update={"epochs": 1})})
    batch = params.training.batch_size
    count = int(np.clip(STEP_SECONDS / max(figures["image_seconds"] * batch, 1e-9), STEPS, MOST_STEPS))
    train = Pictures(
        Rows(
            train.rows.ids[: count * batch],
            train.rows.paths[: count * batch],
            train.rows.targets[: count * batch],
        ),
        train.pixels[: count * batch],
    )
    torch.manual_seed(params.training.seed)
    network = models.build(short, auguments, len(run.labels), job.files)
    fit(network, short, auguments, train, valid, chosen, folder, outlet, len(run.labels))
    evaluated = time.monotonic() - ends[-1]
    job.progress(phase="preflight", fraction=0.8)
    paces = np.diff(ends)
    paces = paces[len(paces) // 2 :]
    pace, slow = float(np.median(paces)), float(paces.max())
    steps = -(-len(splits["train"]) // batch) * params.training.epochs
    measured = evaluated * len(splits["valid"]) / len(valid) * params.training.epochs
    low = pace * steps * 0.9 + min(measured, pace * steps) + figures["read_seconds"]
    high = slow * steps * 1.2 + measured + figures["read_seconds"]
    figures |= {"step_seconds": pace, "eta_low": min(low, high), "eta_high": max(low, high), "steps": steps}
    lines.append(Line("time", OK, {"low": min(low, high), "high": max(low, high), "step": pace}))
    weights = checkpoints.weights_of(checkpoints.best(folder))
    lines.append(Line("checkpoint", OK, {}))
    made = package.write(
        folder / "model", run, params, auguments, weights, job.settings.max_pixels, onnx=False
    )
    classifier = Classifier(made.folder)
    files = [job.files.read(path) for path in valid.rows.paths[:8]]
    served, errors = classifier.classify(files)
    apart = float(np.abs(served - _probabilities(network, weights, valid, auguments, len(files))).max())
    same = apart <= SAME and not any(errors)
    lines.append(Line("round-trip", OK if same else BAD, {"apart": apart}))


def _probabilities(
    network: torch.nn.Module,
    weights: dict[str, torch.Tensor],
    pictures: Pictures,
    auguments: Auguments,
    n: int,
) -> np.ndarray:
    """What the network that was trained says of the first n images, (n, labels)."""
    network.cpu().float().load_state_dict(weights)
    network.eval()
    with torch.no_grad():
        done = auguments.preprocessing.model_dump()
        floats = normalize(pictures.pixels[:n].float().div_(255.0), done)
        found: np.ndarray = answers(network, floats, done).softmax(dim=1).double().numpy()
    return found
