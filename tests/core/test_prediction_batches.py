"""Batches that are predicted in the background: what comes in, who may do what, what is downloaded, what is deleted."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pictures import png, zipped
from PIL import Image

from core import (
    auth,
    images,
    prediction_answers,
    prediction_batches,
    prediction_intake,
    prediction_jobs,
    queue,
    registry,
    themes,
)
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from core.events import Type
from core.image_filter import Filter
from core.workbench import Workbench
from tests.predicting import answer, manifest, ready, spec_of, tell


@pytest.fixture
def known(_bench: Workbench, trainer: auth.User) -> tuple[themes.Theme, registry.Version]:
    return ready(_bench, trainer)


@pytest.fixture
def version(known: tuple[themes.Theme, registry.Version]) -> registry.Version:
    return known[1]


def lying(wb: Workbench, batch: prediction_batches.Batch) -> list[Path]:
    place = wb.settings.data_dir / "files" / "batches" / str(batch.id)
    return [path for path in place.rglob("*") if path.is_file()]


def test_files_come_in_with_their_names_and_what_is_refused_keeps_its_place(
    wb: Workbench, version: registry.Version, viewer: auth.User
) -> None:
    batch = prediction_batches.create(wb, viewer, version.id, "Line 3")
    long = "n" * 150 + ".png"
    taken = prediction_intake.add_files(
        wb,
        viewer,
        batch.id,
        [
            ("belt/1.png", png(1)),
            ("belt/dear.txt", b"Dear Sir"),
            ("more.zip", zipped({"belt/2.png": png(2), "belt/cut.png": png(3)[:80], "../4.png": png(4)})),
            (long, png(1)),
        ],
    )
    assert (taken.added, taken.refused_total) == (3, 3)
    assert [refusal.name for refusal in taken.refused] == ["belt/dear.txt", "belt/cut.png", "../4.png"]
    prediction_intake.add_files(wb, viewer, batch.id, [("last.png", png(5))])
    found = prediction_batches.get(wb, batch.id)
    assert (found.name, found.status, found.images, found.refused) == ("Line 3", "open", 4, 3)

    started = prediction_jobs.start(wb, viewer, batch.id)
    rows = manifest(wb, started)
    assert [row["file"] for row in rows] == [
        "belt/1.png", "belt/dear.txt", "belt/2.png", "belt/cut.png", "../4.png", long, "last.png",
    ]  # fmt: skip
    assert [bool(row["error"]) for row in rows] == [False, True, False, True, True, False, False]
    assert rows[0]["path"].startswith(f"batches/{batch.id}/images/") and rows[0]["path"] == rows[5]["path"]
    assert wb.files.read(rows[2]["path"]) == png(2)
    spec = spec_of(wb, started)
    assert (spec.version.uri, spec.labels, spec.batch_id) == (version.uri, ("cat", "dog"), batch.id)
    assert queue.state(wb, f"run-{spec.run_id}-1") == "queued"
    assert prediction_jobs.place(wb, started) == 2, "behind the training that no worker took"
    with pytest.raises(Conflict, match="was started already"):
        prediction_intake.add_files(wb, viewer, batch.id, [("late.png", png(6))])
    with pytest.raises(Conflict, match="was started already"):
        prediction_jobs.start(wb, viewer, batch.id)
    [card] = themes.cards(wb)
    assert card.last_run is not None and card.last_run.id != spec.run_id, "it is no training of the theme"


def test_images_of_a_theme_are_chosen_and_stay_the_themes(
    wb: Workbench, known: tuple[themes.Theme, registry.Version], trainer: auth.User
) -> None:
    theme, version = known
    images.add(wb, trainer, theme.id, [(f"new/{n}.png", png(n)) for n in range(30, 33)])
    batch = prediction_batches.create(wb, trainer, version.id)
    assert prediction_intake.add_images(wb, trainer, batch.id, theme.id, Filter(state="unlabelled")) == 3
    with pytest.raises(InvalidInput, match="in the batch already"):
        prediction_intake.add_images(wb, trainer, batch.id, theme.id, Filter(state="unlabelled"))
    images.add(wb, trainer, theme.id, [("new/33.png", png(33))])
    assert prediction_intake.add_images(wb, trainer, batch.id, theme.id, Filter(state="unlabelled")) == 1
    with pytest.raises(InvalidInput, match="“Animals” has no such images"):
        prediction_intake.add_images(wb, trainer, batch.id, theme.id, Filter(split="none", state="labelled"))
    with pytest.raises(NotFound):
        prediction_intake.add_images(wb, trainer, batch.id, 999, Filter())
    rows = manifest(wb, prediction_jobs.start(wb, trainer, batch.id))
    assert [row["file"] for row in rows] == [f"new/{n}.png" for n in range(30, 34)]
    prediction_batches.delete(wb, trainer, batch.id)
    prediction_batches.tend(wb)
    assert all(wb.files.read(row["path"]) for row in rows)


def test_a_batch_has_a_limit_and_what_fits_is_kept(wb: Workbench, trainer: auth.User) -> None:
    theme, version = ready(wb, trainer)
    small = replace(wb, settings=replace(wb.settings, predict_batch_images=3))
    batch = prediction_batches.create(small, trainer, version.id)
    with pytest.raises(InvalidInput, match="“Animals” and what follows is too much"):
        prediction_intake.add_images(small, trainer, batch.id, theme.id, Filter())
    items = [(f"{n}.png", png(n)) for n in range(5)]
    taken = prediction_intake.add_files(small, trainer, batch.id, [("no.txt", b"no"), *items])
    assert taken.added == 3
    assert [refusal.name for refusal in taken.refused] == ["no.txt", "3.png"]
    assert "a batch can have 3 images" in taken.refused[1].reason
    assert prediction_batches.get(wb, batch.id).images == 3


def test_images_that_come_while_it_is_started_are_in_it(
    wb: Workbench, version: registry.Version, trainer: auth.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = prediction_batches.create(wb, trainer, version.id)
    with pytest.raises(InvalidInput, match="has no images"):
        prediction_jobs.start(wb, trainer, batch.id)
    prediction_intake.add_files(wb, trainer, batch.id, [("1.png", png(1))])
    ping = queue.ping

    def another_comes(of: Workbench) -> None:
        ping(of)
        prediction_intake.add_files(of, trainer, batch.id, [("2.png", png(2))])

    monkeypatch.setattr(queue, "ping", another_comes)
    started = prediction_jobs.start(wb, trainer, batch.id)
    assert started.images == len(manifest(wb, started)) == 2


def test_answers_are_downloaded_row_by_row_and_seen_by_picture(
    wb: Workbench, version: registry.Version, viewer: auth.User
) -> None:
    batch = prediction_batches.create(wb, viewer, version.id, "=cmd")
    items = [("=1+1.png", png(1, (400, 200))), ("no.txt", b"no"), ("2.png", png(2))]
    prediction_intake.add_files(wb, viewer, batch.id, items)
    with pytest.raises(Conflict, match="was not started yet"):
        prediction_answers.picture(wb, batch.id, 0)
    started = prediction_jobs.start(wb, viewer, batch.id)
    with pytest.raises(Conflict, match="no answers yet"):
        prediction_answers.download(wb, viewer, batch.id)
    rows = answer(wb, started, lambda place: 0.75 if place else 0.25)
    done = prediction_batches.get(wb, batch.id)
    assert done.done and done.result is not None
    assert (done.result["n"], done.result["errors"]) == (2, 1)
    assert done.result["by_label"] == [
        {"label": "cat", "n": 1, "confidence": 0.75},
        {"label": "dog", "n": 1, "confidence": 0.75},
    ]

    def sent(file_format: str) -> bytes:
        return b"".join(prediction_answers.download(wb, viewer, batch.id, file_format).chunks)

    table = list(csv.DictReader(io.StringIO(sent("csv").decode("utf-8-sig"))))
    assert [row["file"] for row in table] == ["'=1+1.png", "no.txt", "2.png"]
    assert (table[0]["label"], table[0]["p(cat)"], table[0]["p(dog)"]) == ("dog", "0.250000", "0.750000")
    assert table[1]["label"] == "" and "is not an image" in table[1]["error"]
    lines = [json.loads(line) for line in sent("jsonl").splitlines()]
    assert lines[2]["probabilities"] == {"cat": 0.75, "dog": 0.25} and lines[1]["probabilities"] is None
    parquet = pq.read_table(io.BytesIO(sent("parquet")))
    assert parquet["probabilities"].to_pylist() == [row.shares for row in rows]
    with pytest.raises(InvalidInput, match="“xml” is not"):
        sent("xml")

    assert Image.open(io.BytesIO(prediction_answers.picture(wb, batch.id, 0))).size == (160, 80)
    for row in (1, 3, 10**9):  # refused, and none at all
        with pytest.raises(NotFound, match="has no picture"):
            prediction_answers.picture(wb, batch.id, row)


def test_a_job_is_stopped_and_goes_on(wb: Workbench, version: registry.Version, viewer: auth.User) -> None:
    batch = prediction_batches.create(wb, viewer, version.id)
    prediction_intake.add_files(wb, viewer, batch.id, [("1.png", png(1))])
    with pytest.raises(Conflict, match="nothing to stop"):
        prediction_jobs.cancel(wb, viewer, batch.id)
    prediction_jobs.start(wb, viewer, batch.id)
    stopped = prediction_jobs.cancel(wb, viewer, batch.id)
    assert stopped.status == "cancelled" and stopped.run_id is not None
    with pytest.raises(Conflict, match="let it go on"):
        prediction_answers.download(wb, viewer, batch.id)
    assert queue.state(wb, f"run-{stopped.run_id}-1") is None
    again = prediction_jobs.resume(wb, viewer, batch.id)
    assert (again.status, again.attempt, again.run_id) == ("queued", 2, stopped.run_id)
    assert queue.wish_of(wb, stopped.run_id) is None
    assert queue.state(wb, f"run-{stopped.run_id}-2") == "queued"
    with pytest.raises(Conflict, match="stopped or failed"):
        prediction_jobs.resume(wb, viewer, batch.id)


def test_deleting_a_batch_deletes_its_files_once_its_job_has_ended(
    wb: Workbench, version: registry.Version, viewer: auth.User
) -> None:
    batch = prediction_batches.create(wb, viewer, version.id)
    prediction_intake.add_files(wb, viewer, batch.id, [("1.png", png(1)), ("no.txt", b"no")])
    started = prediction_jobs.start(wb, viewer, batch.id)
    assert started.run_id is not None and queue.withdraw(wb, f"run-{started.run_id}-1"), "a worker takes it"
    tell(wb, started, (Type.STATUS, {"status": "running"}))
    prediction_batches.delete(wb, viewer, batch.id)
    assert queue.wish_of(wb, started.run_id) == "cancel"
    with pytest.raises(NotFound):
        prediction_batches.get(wb, batch.id)
    assert prediction_batches.page(wb) == []
    prediction_batches.tend(wb)
    assert lying(wb, batch), "the job may still read them"
    tell(wb, started, (Type.STATUS, {"status": "cancelled"}))
    for _ in range(2):
        prediction_batches.tend(wb)
    assert not lying(wb, batch)
    with pytest.raises(NotFound):
        prediction_intake.add_files(wb, viewer, batch.id, [("2.png", png(2))])


def test_a_batch_is_changed_by_who_made_it_and_by_trainers(
    wb: Workbench, version: registry.Version, viewer: auth.User, labeler: auth.User, trainer: auth.User
) -> None:
    batch = prediction_batches.create(wb, viewer, version.id, "Mine")
    for act in (
        lambda: prediction_intake.add_files(wb, labeler, batch.id, [("1.png", png(1))]),
        lambda: prediction_jobs.start(wb, labeler, batch.id),
        lambda: prediction_batches.delete(wb, labeler, batch.id),
    ):
        with pytest.raises(NotAllowed, match="“Mine” is viewer's"):
            act()
    prediction_intake.add_files(wb, trainer, batch.id, [("1.png", png(1))])
    assert prediction_batches.page(wb, version.theme_id)[0].images == 1
    with pytest.raises(NotFound):
        prediction_batches.create(wb, viewer, 999)
    for wrong, told in (("x" * 201, "has 201 characters"), ("a\nb", "line break")):
        with pytest.raises(InvalidInput, match=told):
            prediction_batches.create(wb, viewer, version.id, wrong)
