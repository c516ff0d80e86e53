from __future__ import annotations

import dataclasses

import pytest
from pictures import png

from core import auth, images, params, runs, splits, themes
from core.errors import Conflict, InvalidInput, NotFound
from core.evaluations import compared, report, words
from core.workbench import Workbench
from tests.steps import ready_theme
from tests.trained import finished


def parts(wb: Workbench, actor: auth.User) -> themes.Theme:
    theme = themes.create(wb, actor, name="Parts", labels=["good", "bad"])
    files = [(f"{('good', 'bad')[n % 2]}/{n}.png", png(n, (40, 40))) for n in range(300)]
    images.add(wb, actor, theme.id, files, label_from_folder=True)
    splits.split(wb, actor, theme.id)
    return theme


def test_a_run_is_judged_by_its_answers(wb: Workbench, trainer: auth.User) -> None:
    theme = parts(wb, trainer)
    run = finished(wb, trainer, theme.id, lambda image_id: image_id % 5 > 0, epochs=5)
    found = report.of_run(wb, run.id)
    marks = (run.result or {})["metrics"]["test"]
    assert found.accuracy.value == pytest.approx(marks["accuracy"])
    assert found.macro_f1.value == pytest.approx(marks["macro_f1"])
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high
    wrong = sum(n for *_pair, n in found.mistakes)
    assert wrong == int((~found.answers.right).sum()) > 0
    true, said, n = found.mistakes[0]
    behind = report.images_of(found, true, said)
    assert len(behind) == n
    assert all(image_id % 5 == 0 for image_id in behind)
    assert report.images_of(found, true, "no such label") == []
    told = {each.kind: words.advice(each) for each in found.advice}
    assert "5 of 5" in told["more-epochs"]
    assert "100.0 %" in told["by-heart"]
    with pytest.raises(NotFound):
        report.of_run(wb, run.id, "train")


def test_runs_are_compared_on_the_images_that_all_answered(wb: Workbench, trainer: auth.User) -> None:
    theme = parts(wb, trainer)
    weak = finished(wb, trainer, theme.id, lambda image_id: image_id % 2 > 0)
    chosen, _augmented = params.saved(wb.settings, theme.id)
    training = chosen.training.model_copy(update={"epochs": 7})
    params.save(wb.settings, theme.id, trainer.name, chosen.model_copy(update={"training": training}))
    more = [(f"good/{n}.png", png(n, (40, 40))) for n in range(1_000, 1_040)]
    images.add(wb, trainer, theme.id, more, label_from_folder=True)
    splits.split(wb, trainer, theme.id)
    strong = finished(wb, trainer, theme.id, lambda image_id: image_id % 9 > 0)
    twin = finished(wb, trainer, theme.id, lambda image_id: image_id % 9 > 0)

    found = compared.of_runs(wb, [strong.id, weak.id, twin.id, weak.id])
    assert found.ids == (weak.id, strong.id, twin.id)
    assert found.judged is not None
    assert found.judged.best == twin.id
    assert [(pair.other, pair.certain) for pair in found.judged.pairs] == [
        (strong.id, False),
        (weak.id, True),
    ]
    assert "equally good" in words.verdict(found)
    assert found.parameters == {"training.epochs": (weak.spec.params["training"]["epochs"], 7, 7)}
    assert {run_id: changes.added for run_id, changes in found.data.items()} == {strong.id: 40, twin.id: 40}
    assert found.judged.n == sum(weak.snapshot_counts["test"].values())
    only = found.only(strong.id, weak.id)
    assert only and all(image_id % 2 == 0 and image_id % 9 > 0 for image_id in only)
    assert "more than chance" in words.verdict(compared.of_runs(wb, [weak.id, strong.id]))
    alone = dataclasses.replace(found, judged=None, why="no-shared")
    assert "no image was in the test" in words.verdict(alone)


def test_what_cannot_be_compared_is_said(wb_duckdb: Workbench, trainer: auth.User) -> None:
    wb = wb_duckdb
    theme = ready_theme(wb, trainer)
    first = finished(wb, trainer, theme.id, lambda image_id: True)
    kept_none = finished(wb, trainer, theme.id, None)
    found = compared.of_runs(wb, [first.id, kept_none.id])
    assert (found.judged, found.without) == (None, (kept_none.id,))
    assert "not every run kept" in words.verdict(found)
    with pytest.raises(NotFound, match="did not keep its answers"):
        report.of_run(wb, kept_none.id)
    with pytest.raises(InvalidInput, match="1 is named here"):
        compared.of_runs(wb, [first.id, first.id])
    with pytest.raises(InvalidInput, match="Name 2 to 10"):
        compared.of_runs(wb, range(11))
    waiting = runs.start(wb, trainer, theme.id)
    with pytest.raises(Conflict, match=f"Run {waiting.id} has no result"):
        compared.of_runs(wb, [first.id, waiting.id])
    with pytest.raises(Conflict, match=f"Run {waiting.id} has no result"):
        report.of_run(wb, waiting.id)
    other = finished(wb, trainer, ready_theme(wb, trainer, "Others").id, lambda image_id: True)
    with pytest.raises(Conflict, match="different themes"):
        compared.of_runs(wb, [first.id, other.id])
