from __future__ import annotations

from pictures import png

from core import auth, images, params, runs, themes
from core.quality import effect_words, freezing, repair, with_without
from core.workbench import Workbench
from tests.steps import ready_theme
from tests.trained import finished


def test_a_run_is_told_with_and_without_what_was_repaired_before_it(
    wb: Workbench, trainer: auth.User
) -> None:
    theme = ready_theme(wb, trainer)
    more = [(f"train/{('cat', 'dog')[n % 2]}/{n}.png", png(n, (96, 64))) for n in range(100, 110)]
    more += [(f"train/cat/{n}-again.png", png(n, (97, 65))) for n in range(100, 110, 2)]
    more += [(f"test/{('cat', 'dog')[n % 2]}/{n}.png", png(n, (8, 8))) for n in range(200, 240)]
    images.add(wb, trainer, theme.id, more, label_from_folder=True, split_from_folder=True)
    tests = sorted(image.id for image in images.page(wb, theme.id, images.Filter(split="test")).items)
    wrong_before, wrong_now = set(tests[:12]), set(tests[:2])
    first = finished(wb, trainer, theme.id, lambda image_id: image_id not in wrong_before)
    alone = with_without.of_run(wb, first.id)
    assert (alone.previous_id, alone.why, alone.paired) == (None, "first", None)

    gone = repair.keep_best(wb, trainer, theme.id)
    assert len(gone) == 5
    cat, dog = theme.labels
    relabelled = tests[-1]
    [image] = images.rows(wb, theme.id, [relabelled])
    other = dog.id if image.label_id == cat.id else cat.id
    images.label(wb, trainer, theme.id, [(relabelled, other)])
    images.delete(wb, trainer, theme.id, [tests[-2]])
    images.add(wb, trainer, theme.id, [("test/cat/late.png", png(300, (8, 8)))],
               label_from_folder=True, split_from_folder=True)  # fmt: skip
    themes.update_label(wb, trainer, theme.id, cat.id, name="tomcat")
    freezing.freeze(wb, trainer, theme.id, "A wrong label was put right.")
    second = finished(wb, trainer, theme.id, lambda image_id: image_id not in wrong_now)
    found = with_without.of_run(wb, second.id)
    assert (found.previous_id, found.tests, found.data_alone) == (first.id, len(tests), True)
    assert found.repairs == {"twin": 5}
    changes = found.changes
    assert (changes.added, changes.removed, changes.relabelled, changes.moved) == (1, 6, 1, 0)
    assert found.paired is not None
    # The deleted and the added one were in one test each; the newer label makes the old answer a wrong one.
    assert (found.paired.n, found.paired.only_before) == (len(tests) - 1, 0)
    assert found.paired.only_after == 10 + 1
    assert found.paired.before < found.paired.after and found.paired.low > 0 and found.paired.p < 0.01
    assert effect_words.before(found) == (
        f"Since run {first.id}: 1 image added, 6 images removed, 1 label changed. "
        "Repairs in between: 5 copies removed."
    )
    assert " with, " in effect_words.mark(found, found.paired)
    assert effect_words.verdict(found.paired) == "better"


def test_what_keeps_two_runs_from_being_compared_is_said(wb_duckdb: Workbench, trainer: auth.User) -> None:
    wb = wb_duckdb
    theme = ready_theme(wb, trainer)
    finished(wb, trainer, theme.id, None)
    chosen, augmented = params.saved(wb.settings, theme.id)
    values = chosen.model_dump()
    values["training"]["epochs"] += 1
    params.save(wb.settings, theme.id, trainer.name, params.check(values, params.Params), augmented)
    second = finished(wb, trainer, theme.id, lambda _image_id: True)
    found = with_without.of_run(wb, second.id)
    assert (found.why, found.changes.any) == ("no-answers", False)
    assert list(found.parameters) == ["training.epochs"]
    assert "training.epochs" in effect_words.not_alone(found)
    assert "the same images" in effect_words.before(found)
    # A run that has not ended is compared with what came before it, and has no answers yet.
    assert with_without.of_run(wb, runs.start(wb, trainer, theme.id).id).why == "no-answers"
    # All of the old test is gone.
    tests = [image.id for image in images.page(wb, theme.id, images.Filter(split="test")).items]
    images.delete(wb, trainer, theme.id, tests)
    images.add(wb, trainer, theme.id, [(f"test/cat/{n}.png", png(n, (8, 8))) for n in range(50, 55)],
               label_from_folder=True, split_from_folder=True)  # fmt: skip
    freezing.freeze(wb, trainer, theme.id, "New test images.")
    third = finished(wb, trainer, theme.id, lambda _image_id: True)
    assert with_without.of_run(wb, third.id).why == "no-shared"
