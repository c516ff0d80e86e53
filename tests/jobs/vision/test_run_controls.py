"""What a person may ask of a training that goes: pause it in mid-epoch, end it early and keep what it has."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import redis

from core import events as protocol
from core.settings import Settings
from core.spec import RunSpec
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


def test_paused_in_mid_epoch_and_resumed_is_bit_for_bit_the_same(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs.vision import train

    settings, spec = finished.settings, slow(finished, 21)
    asked: list[int] = []
    pause_at = {7, 13}  # of 20 steps in epochs of five
    heed = train.Reporter._heed

    def pausing(self: Any, trainer: Any, module: Any, batch_idx: int) -> None:
        if trainer.global_step in pause_at:
            pause_at.discard(trainer.global_step)
            asked.append(trainer.global_step)
            self._outlet = train.Outlet(
                self._outlet.metric, self._outlet.progress, self._outlet.checkpoint, lambda: "pause"
            )
        heed(self, trainer, module, batch_idx)

    monkeypatch.setattr(train.Reporter, "_heed", pausing)
    assert statuses(run(spec, 1, settings)) == ["running", "paused"]
    assert statuses(run(spec, 2, settings)) == ["running", "paused"]
    assert asked == [7, 13]
    checkpoint = of_type(events(settings, 21), "checkpoint")[-1]
    assert (checkpoint["kind"], checkpoint["step"]) == ("last", 13)
    found = run(spec, 3, settings)
    assert min(point["step"] for point in of_type(found, "metric")) == 14
    whole, last = result(finished.events), result(found)
    assert last["weights_sha256"] == whole["weights_sha256"]
    assert curve(events(settings, 21)) == curve(finished.events)


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
