"""One training run of an image classifier, from its spec to a registered model version.

Called by jobs.train in a worker: `main(job, spec)`. A later attempt goes on from what the earlier
one left in the run's folder: the last checkpoint, or, after the training, the best weights.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from core.events import Type, Wish
from core.params import Auguments, Params, check
from core.spec import RunSpec
from jobs.machine import Machine
from jobs.runtime import Cancelled, Job, Paused
from jobs.vision import checkpoints, evaluate, features, hardware, models, package, team
from jobs.vision.data import Pictures, Rows, decode, read_manifest
from jobs.vision.module import Judged
from jobs.vision.pyfunc_model import Classifier
from jobs.vision.reporter import Outlet
from jobs.vision.tracking import Tracker, patiently
from jobs.vision.train import Start, Trained, fit

PATIENCE_SECONDS = 180.0
"""How long the end of a run waits for an MLflow that does not answer."""
NAMED = 20
"""Unreadable images that are named in the log."""

PREPARED, TRAINED, EVALUATED = 0.05, 0.90, 0.95
"""Shares of the whole at which the phases end."""


def main(job: Job, spec: RunSpec, *, patience_s: float = PATIENCE_SECONDS) -> None:
    """Train, measure, register. Raises Cancelled, and errors that `jobs.runtime.classify` knows."""
    params = check(spec.params, Params)
    auguments = check(spec.auguments, Auguments)
    job.progress(phase="prepare", fraction=0.0, epochs=params.training.epochs)
    chosen = hardware.choose(
        params.training.precision, job.settings.workers, job.folder / "hardware.json", job.settings.processes
    )
    torch.set_num_threads(chosen.threads)
    shared = f", in {chosen.processes} processes" if chosen.processes > 1 else ""
    job.log(
        f"Computing on {hardware.name(chosen)} in {chosen.precision} with {chosen.threads} threads{shared}."
    )
    splits = read_manifest(job.files, spec)
    left_out = LeftOut(job)
    tracker = Tracker(job.settings.mlflow_url, spec, job.folder)
    try:
        trained = _trained(job, spec, params, auguments, chosen, splits, tracker, left_out)
        if spec.kind == "trial":
            _finish_trial(job, chosen, tracker, trained)
            return
        _finish(job, spec, params, auguments, chosen, splits, tracker, trained, left_out, patience_s)
    except Cancelled:
        tracker.end("KILLED")
        raise
    except Paused:
        raise
    except Exception:
        tracker.end("FAILED")
        raise
    finally:
        tracker.stop()


def _trained(
    job: Job,
    spec: RunSpec,
    params: Params,
    auguments: Auguments,
    chosen: hardware.Hardware,
    splits: dict[str, Rows],
    tracker: Tracker,
    left_out: LeftOut,
) -> Trained:
    """The training's outcome; read from the run's folder where an earlier attempt finished it."""
    kept = job.folder / "trained.json"
    if kept.exists():
        job.log("The training is done already; going on with the best weights.")
        return Trained(**json.loads(kept.read_text(encoding="utf-8")))
    pictures = _pictures(job, params, auguments, splits, left_out)
    torch.manual_seed(params.training.seed)
    network = models.build(params, auguments, len(spec.labels), job.files)
    folder = job.folder / "checkpoints"
    if checkpoints.newest(folder, lambda text: job.log(text, "warning")):
        job.log("Going on from the last checkpoint.")
    elif spec.continues:
        job.log(f"Going on from epoch {spec.continues.epochs} of run {spec.continues.run_id}.")

    machine = Machine()

    def metric(step: int, epoch: float, values: dict[str, float]) -> None:
        values = values | machine.due()
        job.metric(step, epoch, values)
        tracker.log(step, values)
        if "valid_loss" in values:
            tracker.flush()
            job.log(
                f"Epoch {epoch:.0f}: validation loss {values['valid_loss']:.4f}, "
                f"accuracy {values['valid_accuracy']:.4f}."
            )

    def progress(epoch: int, epochs: int, step: int, steps: int, eta_s: float | None) -> None:
        job.progress(
            phase="train",
            fraction=PREPARED + (TRAINED - PREPARED) * step / steps,
            epoch=epoch,
            epochs=epochs,
            step=step,
            steps=steps,
            eta_s=eta_s,
        )

    def checkpoint(path: Path, epoch: int, step: int, value: float | None, kind: str) -> None:
        job.emit(
            Type.CHECKPOINT,
            {
                "path": str(path.relative_to(job.settings.artifacts_dir)),
                "sha256": checkpoints.written(path),
                "epoch": epoch,
                "step": step,
                "metric": value,
                "kind": kind,
            },
        )

    def judged(step: int, epoch: int, found: Judged) -> None:
        job.emit(Type.VALIDATION, {"step": step, "epoch": epoch, **asdict(found)})

    def smaller(step: int, parts: int) -> None:
        job.log(
            f"The memory was not enough for a batch of {params.training.batch_size}: from step {step} on it is "
            f"computed in {parts} parts, whose gradients are added up.",
            "warning",
        )

    if features.steady(params, auguments):
        job.log(
            "Only the last layer learns and nothing is random: what it is given is computed once, for all epochs."
        )
    outlet = Outlet(metric, progress, checkpoint, job.wanted, judged, smaller)
    start = None
    if spec.continues:
        path = job.settings.artifacts_dir / spec.continues.path
        start = Start(path, spec.continues.sha256, spec.continues.epochs)
    with team.assembled(spec, chosen, job.folder, pictures) as mine:
        trained = fit(
            network,
            params,
            auguments,
            pictures["train"],
            pictures["valid"],
            chosen,
            folder,
            outlet,
            len(spec.labels),
            team=mine,
            start=start,
        )
    part = kept.with_suffix(".part")
    part.write_text(json.dumps(asdict(trained)), encoding="utf-8")
    part.replace(kept)
    return trained


class LeftOut:
    """Names each image that cannot be read once in the log, the first NAMED of them."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._ids: set[int] = set()

    def __call__(self, image_id: int, reason: str) -> None:
        if image_id in self._ids:
            return
        self._ids.add(image_id)
        if len(self._ids) <= NAMED:
            self._job.log(f"Image {image_id} is left out. {reason}", "warning")
        elif len(self._ids) == NAMED + 1:
            self._job.log("More images are left out; they are not named here.", "warning")


def _pictures(
    job: Job, params: Params, auguments: Auguments, splits: dict[str, Rows], left_out: LeftOut
) -> dict[str, Pictures]:
    """The images of train and valid, decoded."""
    total = len(splits["train"]) + len(splits["valid"])
    before, found = 0, {}
    for split in ("train", "valid"):

        def advanced(count: int, before: int = before) -> None:
            _heed(job)
            job.progress(
                phase="prepare",
                fraction=PREPARED * (before + count) / total,
                epochs=params.training.epochs,
            )

        found[split] = decode(
            job.files,
            splits[split],
            size=params.data.image_size,
            preprocessing=auguments.preprocessing.model_dump(mode="json"),
            max_pixels=job.settings.max_pixels,
            threads=params.data.workers or hardware.cores(),
            scratch=job.folder / f"{split}.pixels",
            keep=job.settings.artifacts_dir / "preprocessed" if params.data.keep_preprocessed else None,
            advanced=advanced,
            unreadable=left_out,
        )
        before += len(splits[split])
    return found


def _finish_trial(job: Job, chosen: hardware.Hardware, tracker: Tracker, trained: Trained) -> None:
    """A trial is judged by its validation images alone; the test images are for the one that wins."""
    tracker.flush()
    tracker.end("FINISHED")
    job.progress(phase="train", fraction=1.0, epoch=trained.epochs_run, epochs=trained.epochs_run, eta_s=0.0)
    result = {
        "epochs_run": trained.epochs_run,
        "best_epoch": trained.best_epoch,
        "seconds": round(trained.seconds, 3),
        "images_per_second": round(trained.images_per_second, 1),
        "precision": chosen.precision,
        "device": hardware.name(chosen),
        "threads": chosen.threads,
        "mlflow_run_id": tracker.run_id or None,
        "mlflow_experiment_id": tracker.experiment_id or None,
    }
    job.emit(Type.RESULT, result)


def _finish(
    job: Job,
    spec: RunSpec,
    params: Params,
    auguments: Auguments,
    chosen: hardware.Hardware,
    splits: dict[str, Rows],
    tracker: Tracker,
    trained: Trained,
    left_out: LeftOut,
    patience_s: float,
) -> None:
    """Measure the best weights the way they will be served, register them, report the result."""
    best = checkpoints.best(job.folder / "checkpoints", lambda text: job.log(text, "warning"))
    weights = checkpoints.weights_of(best)
    made = package.write(job.folder / "model", spec, params, auguments, weights, job.settings.max_pixels)
    if made.without_onnx:
        job.log(f"The version has no ONNX file. {made.without_onnx}", "warning")
    classifier = Classifier(made.folder)
    total = len(splits["valid"]) + len(splits["test"])
    before, predictions = 0, {}
    for split in ("valid", "test"):

        def advanced(count: int, before: int = before) -> None:
            _heed(job)
            fraction = TRAINED + (EVALUATED - TRAINED) * (before + count) / total
            job.progress(
                phase="evaluate",
                fraction=fraction,
                epoch=trained.epochs_run,
                epochs=params.training.epochs,
            )

        predictions[split] = evaluate.predict(classifier, job.files, splits[split], advanced, left_out)
        before += len(splits[split])
    latency_ms = evaluate.latency(classifier, job.files, predictions["test"].rows)
    table = job.folder / "predictions.parquet"
    evaluate.write_predictions(table, spec.labels, predictions)
    figures = {split: evaluate.figures(spec.labels, found) for split, found in predictions.items()}
    step = trained.epochs_run * -(-len(splits["train"]) // params.training.batch_size)
    for split, found in figures.items():
        tracker.log(step + 1, {f"final_{split}_{key}": found["metrics"][key] for key in FINAL})
    job.emit(Type.ARTIFACT, {"name": "predictions", "path": _relative(job, table)})

    job.progress(
        phase="register",
        fraction=EVALUATED,
        epoch=trained.epochs_run,
        epochs=params.training.epochs,
    )
    tracker.finish(patience_s, lambda: _heed(job))
    model = patiently(
        lambda: package.register(made, spec, tracker, [table]), tracker.url, patience_s, lambda: _heed(job)
    )
    tracker.end("FINISHED")
    job.log(f"Registered as {model['name']}, version {model['version']}.")
    result: dict[str, Any] = {
        "labels": list(spec.labels),
        "metrics": {split: found["metrics"] for split, found in figures.items()},
        "confusion": {split: found["confusion"] for split, found in figures.items()},
        "per_class": {split: found["per_class"] for split, found in figures.items()},
        "epochs_run": trained.epochs_run,
        # Where the file of the best epoch is damaged, the last one's weights are taken.
        "best_epoch": trained.best_epoch if best.name == checkpoints.BEST else trained.epochs_run,
        "seconds": round(trained.seconds, 3),
        "images_per_second": round(trained.images_per_second, 1),
        "latency_ms": round(latency_ms, 3),
        "precision": chosen.precision,
        "device": hardware.name(chosen),
        "threads": chosen.threads,
        "processes": chosen.processes,
        "batch_parts": trained.parts,
        "versions": hardware.versions(),
        "attempts": job.attempt,
        "predictions": _relative(job, table),
        "answers": job.files.put(table.read_bytes(), "predictions", "parquet"),
        "mlflow_run_id": tracker.run_id,
        "mlflow_experiment_id": tracker.experiment_id,
        "model": model,
        "weights_sha256": made.weights_sha256,
        "code": spec.code.model_dump(),
    }
    job.progress(
        phase="register", fraction=1.0, epoch=trained.epochs_run, epochs=params.training.epochs, eta_s=0.0
    )
    job.emit(Type.RESULT, result)


FINAL = ("loss", "accuracy", "macro_f1")


def _relative(job: Job, path: Path) -> str:
    return str(path.relative_to(job.settings.artifacts_dir))


def _heed(job: Job) -> None:
    """Between two pieces of work other than training, where there is nothing to keep or to finish."""
    if job.wanted() == Wish.CANCEL:
        raise Cancelled
    if job.wanted() == Wish.PAUSE:
        raise Paused
