"""What a person may ask of a training that goes: pause it in mid-epoch, end it early and keep what it has."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
import torch

from core import events as protocol
from core.settings import Settings
from core.spec import Continued, RunSpec
from jobs.runtime import Job
from tests.jobs.vision.helpers import TINY, Finished, events, make_spec, of_type, run
from tests.jobs.vision.test_vision_run import curve, result


def ask_when(settings: Settings, run_id: int, wish: str, step: int) -> threading.Thread:
    """Ask as soon as the run has learnt from so many batches."""
    broker = redis.Redis.from_url(settings.redis_url)

    def work() -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            if any(point["step"] >= step for point in of_type(events(settings, run_id), "metric")):
                broker.set(protocol.control_key(run_id), wish)
                return
            time.sleep(0.005)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def answer(settings: Settings, run_id: int) -> None:
    redis.Redis.from_url(settings.redis_url).delete(protocol.control_key(run_id))


def statuses(found: list[dict[str, Any]]) -> list[str]:
    return [each["status"] for each in of_type(found, "status")]


def slow(finished: Finished, run_id: int) -> RunSpec:
    return finished.spec.model_copy(update={"run_id": run_id})


class Pausing(Job):
    """A job that is asked to pause right after a step."""

    def __init__(self, *given: Any, at: int) -> None:
        super().__init__(*given)
        self._at = at
        self._step = 0

    def metric(self, step: int, epoch: float, values: dict[str, float]) -> None:
        super().metric(step, epoch, values)
        self._step = step

    def wanted(self) -> str | None:
        return "pause" if self._step == self._at else None


def test_paused_in_mid_epoch_and_resumed_is_bit_for_bit_the_same(finished: Finished) -> None:
    from jobs.vision.run import main

    settings, spec = finished.settings, slow(finished, 21)
    for attempt, step in ((1, 7), (2, 13)):  # of 20 steps in epochs of five
        with Pausing(spec, attempt, settings, at=step) as job:
            main(job, spec)
        told = [event for event in events(settings, 21) if event["attempt"] == attempt]
        assert statuses(told) == ["running", "paused"]
        checkpoint = of_type(told, "checkpoint")[-1]
        assert (checkpoint["kind"], checkpoint["step"]) == ("last", step)
    found = run(spec, 3, settings)
    assert min(point["step"] for point in of_type(found, "metric")) == 14
    whole, last = result(finished.events), result(found)
    assert last["weights_sha256"] == whole["weights_sha256"]
    assert curve(events(settings, 21)) == curve(finished.events)


def test_a_checkpoint_from_before_parts_goes_on_at_its_step(finished: Finished) -> None:
    """Lightning counted the optimiser's steps in another place then."""
    from jobs.vision import checkpoints
    from jobs.vision.run import main

    settings, spec = finished.settings, slow(finished, 35)
    with Pausing(spec, 1, settings, at=7) as job:
        main(job, spec)
    last = settings.artifacts_dir / "runs/35/checkpoints/last.ckpt"
    old = torch.load(last, weights_only=True)
    del old["parts"]
    loops = old["loops"]["fit_loop"]
    manual = loops["epoch_loop.manual_optimization.optim_step_progress"]
    automatic = loops["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]
    manual["total"], automatic["step"]["total"] = automatic["step"]["total"], manual["total"]
    checkpoints.SafeFiles().save_checkpoint(old, last)
    found = run(spec, 2, settings)
    assert min(point["step"] for point in of_type(found, "metric")) == 8
    assert result(found)["weights_sha256"] == result(finished.events)["weights_sha256"]


def test_finish_asked_while_an_epoch_is_validated_ends_with_that_epoch(finished: Finished) -> None:
    from jobs.vision.run import main

    class Finishing(Job):
        """A job that is asked to finish once the first epoch's figures are there."""

        measured = False

        def wanted(self) -> str | None:
            steps = len(of_type(events(self.settings, 26), "metric"))
            self.measured |= steps >= 5  # an epoch has five
            return "finish" if self.measured else None

    spec = slow(finished, 26)
    with Finishing(spec, 1, finished.settings) as job:
        main(job, spec)
    assert result(events(finished.settings, 26))["epochs_run"] <= 2


def test_a_damaged_checkpoint_is_left_out_for_the_one_before(finished: Finished) -> None:
    settings, spec = finished.settings, slow(finished, 22)
    thread = ask_when(settings, 22, "cancel", 11)
    assert statuses(run(spec, 1, settings)) == ["running", "cancelled"]
    thread.join()
    answer(settings, 22)
    last = settings.artifacts_dir / "runs/22/checkpoints/last.ckpt"
    assert last.with_name("previous.ckpt").exists()
    with last.open("r+b") as file:
        file.seek(5_000)
        file.write(b"\0" * 64)
    found = run(spec, 2, settings)
    assert any("“last.ckpt” is damaged" in line["message"] for line in of_type(found, "log"))
    assert any("last checkpoint" in line["message"] for line in of_type(found, "log"))
    assert result(found)["weights_sha256"] == result(finished.events)["weights_sha256"]


@pytest.mark.parametrize("wish", ["finish", "keep"])
def test_ended_early_its_best_model_is_kept(finished: Finished, wish: str) -> None:
    number = {"finish": 23, "keep": 24}[wish]
    text = TINY.replace("epochs: 4", "epochs: 400")
    spec = make_spec(finished.settings, number, text)
    thread = ask_when(finished.settings, number, wish, 6)
    found = run(spec, 1, finished.settings)
    thread.join()
    answer(finished.settings, number)
    assert statuses(found) == ["running", "succeeded"]
    told = result(found)
    assert 1 <= told["epochs_run"] < 400 and told["model"]["version"]
    measured = [point["epoch"] for point in of_type(found, "metric") if "valid_loss" in point["values"]]
    assert measured == [float(n) for n in range(1, told["epochs_run"] + 1)]


def test_ended_before_anything_was_measured_it_counts_as_cancelled(vision_settings: Settings) -> None:
    spec = make_spec(vision_settings, 25)
    redis.Redis.from_url(vision_settings.redis_url).set(protocol.control_key(25), "keep")
    found = run(spec, 1, vision_settings)
    answer(vision_settings, 25)
    assert statuses(found) == ["running", "cancelled"]


def test_a_damaged_newest_checkpoint_never_replaces_the_one_before(tmp_path: Path) -> None:
    from jobs.vision import checkpoints

    def saved(number: int, files: checkpoints.SafeFiles) -> None:
        files.save_checkpoint({"step": number}, tmp_path / "last.ckpt")

    files = checkpoints.SafeFiles()
    saved(1, files)
    saved(2, files)
    (tmp_path / "last.ckpt").write_bytes(b"torn")
    heard: list[str] = []
    assert checkpoints.newest(tmp_path, heard.append) == tmp_path / "previous.ckpt"
    assert "last.ckpt" in heard[0]
    saved(3, checkpoints.SafeFiles())  # of the attempt that goes on
    assert torch.load(tmp_path / "previous.ckpt")["step"] == 1
    (tmp_path / "last.ckpt").write_bytes(b"torn again")
    assert checkpoints.newest(tmp_path) == tmp_path / "previous.ckpt"
    for number in range(4, 20):
        saved(number, files)
    files.save_checkpoint({"step": 0}, tmp_path / "best.ckpt")
    for number in range(20, 40):  # however many follow, the best one stays known
        saved(number, files)
    assert checkpoints.best(tmp_path).name == "best.ckpt"


def test_a_damaged_best_checkpoint_gives_way_to_the_last(finished: Finished) -> None:
    """The training is done; between it and the model's registration the worker was killed, and the disk failed."""
    settings, spec = finished.settings, slow(finished, 27)
    folder = settings.artifacts_dir / "runs"
    subprocess.run(["cp", "-r", folder / "1", folder / "27"], check=True)
    (folder / "27" / "events.jsonl").unlink()
    (folder / "27/checkpoints/best.ckpt").write_bytes(b"torn")
    found = run(spec, 2, settings)
    assert any("“best.ckpt” is damaged" in line["message"] for line in of_type(found, "log"))
    assert result(found)["best_epoch"] == 4


def test_extended_it_goes_on_with_everything_it_had(finished: Finished, tmp_path: Path) -> None:
    settings = finished.settings
    [*_, last] = [c for c in of_type(finished.events, "checkpoint") if c["kind"] == "last"]
    place = settings.artifacts_dir / "starts" / f"{last['sha256']}.ckpt"
    place.parent.mkdir()
    os.link(settings.artifacts_dir / last["path"], place)
    os.link(
        settings.artifacts_dir / "runs/1/checkpoints/best.ckpt",
        place.with_name(f"{last['sha256']}-best.ckpt"),
    )
    told = []
    for number in (28, 29):
        longer = make_spec(settings, number, TINY.replace("epochs: 4", "epochs: 6"))
        started = Continued(run_id=1, path=f"starts/{place.name}", sha256=last["sha256"], epochs=4)
        found = run(longer.model_copy(update={"continues": started}), 1, settings)
        assert any("epoch 4 of run 1" in line["message"] for line in of_type(found, "log"))
        epochs = [p["epoch"] for p in of_type(found, "metric") if "valid_loss" in p["values"]]
        assert epochs == [5.0, 6.0]
        told.append(result(found))
    assert told[0]["weights_sha256"] == told[1]["weights_sha256"]
    assert told[0]["epochs_run"] == 6 and 1 <= told[0]["best_epoch"] <= 6
    losses = [p["values"]["valid_loss"] for p in of_type(found, "metric") if "valid_loss" in p["values"]]
    before = [
        p["values"]["valid_loss"] for p in of_type(finished.events, "metric") if "valid_loss" in p["values"]
    ]
    best = min(before + losses)
    assert told[0]["best_epoch"] == (before + losses).index(best) + 1
    rates = [p["values"]["learning_rate"] for p in of_type(found, "metric") if "learning_rate" in p["values"]]
    assert max(rates) == pytest.approx(0.001, rel=0.1)  # the schedule rises anew, over the added epochs

    place.unlink()
    gone = longer.model_copy(update={"run_id": 30, "continues": started})
    [error] = of_type(run(gone, 1, settings), "error")
    assert "gone or was changed" in error["message"]


def environment(settings: Settings) -> dict[str, str]:
    return os.environ | {
        "VERITRAIN_DATA_DIR": str(settings.data_dir),
        "VERITRAIN_ARTIFACTS_DIR": str(settings.artifacts_dir),
        "REDIS_URL": settings.redis_url,
        "MLFLOW_TRACKING_URI": settings.mlflow_url,
    }


@pytest.fixture
def two(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Each training is shared by two processes."""
    for name, value in environment(finished.settings).items():  # what the second process is told
        monkeypatch.setenv(name, value)
    return replace(finished.settings, processes=2)


def test_two_processes_share_each_batch(finished: Finished, two: Settings) -> None:
    before = dict(os.environ)
    whole = run(slow(finished, 33), 1, two)
    assert dict(os.environ) == before
    assert any("in 2 processes" in line["message"] for line in of_type(whole, "log"))
    assert result(whole)["processes"] == 2 and result(whole)["metrics"]["valid"]["n"] == 12
    # Other batches' statistics, the same images: it learns what one process learns.
    assert curve(whole).keys() == curve(finished.events).keys()
    alone, shared = (of_type(found, "validation")[-1] for found in (finished.events, whole))
    assert len(shared["worst"]) == len(alone["worst"]) == 12 and len(shared["f1"]) == 3
    assert {each["image"] for each in shared["worst"]} == {each["image"] for each in alone["worst"]}


@pytest.mark.slow  # each of its three trainings starts a process that imports torch
def test_two_processes_pause_and_go_on_as_one(finished: Finished, two: Settings) -> None:
    from jobs.vision.run import main

    whole = result(run(slow(finished, 34), 1, two))
    spec = slow(finished, 36)
    with Pausing(spec, 1, two, at=8) as job:
        main(job, spec)
    assert statuses(events(two, 36)) == ["running", "paused"]
    assert result(run(spec, 2, two))["weights_sha256"] == whole["weights_sha256"]
