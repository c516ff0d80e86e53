"""Images that a model was asked about go back to their theme with the label that a person gave them."""

from __future__ import annotations

import io
import json

import pyarrow.parquet as pq
import pytest
from pictures import png

from core import (
    auth,
    corrections,
    images,
    prediction_answers,
    prediction_batches,
    prediction_intake,
    prediction_jobs,
    themes,
)
from core.errors import InvalidInput, NotAllowed
from core.gateway.images import Prediction
from core.gateway.tables import as_csv, as_jsonl, as_parquet
from core.image_filter import Filter
from core.workbench import Workbench
from tests.predicting import answer, manifest, ready


def test_corrected_images_are_added_once_and_labelled(wb: Workbench, trainer: auth.User) -> None:
    theme = themes.create(wb, trainer, name="Leaves", labels=["oak", "elm"])
    oak, elm = (label.id for label in theme.labels)
    done = corrections.add(wb, trainer, theme.id, [("a.png", png(1), oak), ("b.png", png(2), elm)])
    assert (done.upload.added, done.labelled) == (2, 2)
    again = corrections.add(wb, trainer, theme.id, [("c.png", png(1), elm), ("d.txt", b"no image", oak)])
    assert (again.upload.added, again.upload.duplicates, again.labelled) == (0, 1, 1)
    assert [refusal.name for refusal in again.upload.refused] == ["d.txt"]
    found = {image.file_name: image.label_id for image in images.page(wb, theme.id).items}
    assert found == {"a.png": elm, "b.png": elm}


def test_answers_of_a_batch_are_read_in_order_and_corrected_in_the_theme(
    wb: Workbench, trainer: auth.User, viewer: auth.User
) -> None:
    theme, version = ready(wb, trainer)
    before = len(images.page(wb, theme.id).items)
    batch = prediction_batches.create(wb, trainer, version.id)
    prediction_intake.add_files(wb, trainer, batch.id, [("no.txt", b"no"), ("new.png", png(900))])
    prediction_intake.add_images(wb, trainer, batch.id, theme.id, Filter(split="test"))
    batch = prediction_jobs.start(wb, trainer, batch.id)
    rows = answer(wb, batch, lambda place: 0.5 + place / 100)

    def read(order: str, first: int, limit: int) -> list[int]:
        return [each.row for each in prediction_answers.page(wb, batch.id, order, first, limit)]

    last = len(rows) - 1
    assert read("unsure", 0, 2) == [1, 2] and read("unsure", 2, 100) == list(range(3, last + 1))
    assert read("sure", 0, 1) == [last]
    names = [prediction_answers.page(wb, batch.id, "name", at, 1)[0].file for at in range(last)]
    assert names == sorted(row.file for row in rows if row.label)
    [first] = prediction_answers.page(wb, batch.id, "unsure", 0, 1)
    assert first.file == "new.png" and first.probabilities == pytest.approx({"cat": 0.51, "dog": 0.49})

    cat, dog = (label.id for label in theme.labels)
    known = images.page(wb, theme.id, Filter(split="test")).items[0]
    place = [row["file"] for row in manifest(wb, batch)].index(known.file_name)
    other = dog if known.label_id == cat else cat
    with pytest.raises(NotAllowed):
        corrections.of_batch(wb, viewer, batch.id, {1: cat})
    done = corrections.of_batch(wb, trainer, batch.id, {1: dog, place: other})
    assert (done.upload.added, done.upload.duplicates, done.labelled) == (1, 1, 2)
    found = {image.file_name: image.label_id for image in images.page(wb, theme.id).items}
    assert len(found) == before + 1 and (found["new.png"], found[known.file_name]) == (dog, other)


def test_an_unknown_label_or_a_viewer_changes_nothing(
    wb: Workbench, trainer: auth.User, viewer: auth.User
) -> None:
    theme = themes.create(wb, trainer, name="Leaves", labels=["oak"])
    with pytest.raises(InvalidInput, match="not in the theme"):
        corrections.add(wb, trainer, theme.id, [("a.png", png(1), 999)])
    with pytest.raises(NotAllowed):
        corrections.add(wb, viewer, theme.id, [("a.png", png(1), theme.labels[0].id)])
    assert images.page(wb, theme.id).items == []


def test_each_format_says_the_same_and_runs_nothing_in_a_spreadsheet() -> None:
    labels = ("=oak", "elm")
    answers = [
        Prediction("=1+1.png", "=oak", 0.75, {"=oak": 0.75, "elm": 0.25}),
        Prediction("törn.png", None, None, {}, "It is damaged."),
    ]
    lines = [json.loads(line) for line in as_jsonl(answers, labels).decode().splitlines()]
    assert lines[0] == {
        "file": "=1+1.png", "label": "=oak", "confidence": 0.75,
        "probabilities": {"=oak": 0.75, "elm": 0.25}, "error": None,
    }  # fmt: skip
    assert (lines[1]["file"], lines[1]["probabilities"], lines[1]["error"]) == (
        "törn.png",
        None,
        "It is damaged.",
    )
    table = pq.read_table(io.BytesIO(as_parquet(answers, labels)))
    assert json.loads(table.schema.metadata[b"labels"]) == list(labels)
    assert table["probabilities"].to_pylist() == [[0.75, 0.25], None]
    assert table["label"].to_pylist() == ["=oak", None]
    rows = as_csv(answers, labels).decode("utf-8-sig").splitlines()
    assert rows[1] == "'=1+1.png,'=oak,0.750000,0.750000,0.250000,"
    assert rows[2] == "törn.png,,,,,It is damaged."
