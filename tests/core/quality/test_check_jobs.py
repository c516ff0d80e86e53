"""The check as a job: the real job's code, its events through the collector, its findings with the images."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from pictures import encoded, png, scene
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits

from core import auth, images, queue, side_jobs, themes
from core.collector import Collector
from core.db.tables import finetuning_jobs, image_clusters, image_features, model_train_data
from core.errors import Conflict, InvalidInput
from core.images import Filter
from core.images_io import THUMBNAIL_SIDES, perceptual_hash
from core.quality import check_jobs, decisions, findings
from core.quality.rules import Rules
from core.run_watch import rows_where
from core.settings import Settings
from core.spec import CheckSpec
from core.uploads import thumbnail_key
from core.workbench import Workbench
from jobs import check
from jobs.runtime import Job
from tests.steps import in_file, started

PER_DIGIT = 40


def digits() -> list[tuple[str, bytes]]:
    """Zeros to threes, PER_DIGIT each, in folders; four lie in the wrong one."""
    found = load_digits()
    files = []
    for digit in range(4):
        for number, index in enumerate(np.flatnonzero(found.target == digit)[:PER_DIGIT]):
            scan = Image.fromarray((found.images[index] * (255 / 16)).astype("uint8")).resize((32, 32), 0)
            folder = (digit + 1) % 4 if number == 7 else digit
            files.append((f"{folder}/{digit}-{number}.png", encoded(scan)))
    return files


@pytest.fixture
def theme(wb: Workbench, trainer: auth.User) -> themes.Theme:
    made = themes.create(wb, trainer, name="Digits", labels=["0", "1", "2", "3"])
    images.add(wb, trainer, made.id, digits(), label_from_folder=True)
    return made


def different(one: Image.Image, two: Image.Image) -> int:
    """Bits in which their hashes differ."""
    first, second = (int(perceptual_hash(each), 16) for each in (one, two))
    return (first ^ second).bit_count()


def checked(wb: Workbench, actor: auth.User, theme: themes.Theme, settings: Settings) -> None:
    """Start a check, run it here, and have the collector store and apply what it says."""
    run_id = check_jobs.start(wb, actor, theme.id)
    [row] = rows_where(wb, finetuning_jobs.c.id == run_id)
    spec = CheckSpec.model_validate(row["spec"])
    with Job(spec, 1, settings) as job:
        check.main(job, spec)
    Collector(wb).store(in_file(settings, run_id))
    check_jobs.tend(wb)


def names(wb: Workbench, theme: themes.Theme, kind: str) -> set[str]:
    return {image.file_name for image in images.page(wb, theme.id, Filter(finding=kind)).items}


def test_wrong_labels_are_doubted_decided_and_not_doubted_again(
    wb: Workbench, theme: themes.Theme, trainer: auth.User, settings: Settings
) -> None:
    planted = {f"{(digit + 1) % 4}/{digit}-7.png" for digit in range(4)}
    blank = encoded(Image.new("RGB", (32, 32), (90, 90, 90)))
    images.add(wb, trainer, theme.id, [("3/blank.png", blank)], label_from_folder=True)
    checked(wb, trainer, theme, settings)
    assert planted <= names(wb, theme, "mislabelled")
    assert names(wb, theme, "blank") == {"3/blank.png"}  # and nothing is said of its label
    assert "3/blank.png" not in names(wb, theme, "mislabelled")
    assert len(names(wb, theme, "mislabelled")) <= len(planted) + 2
    state = check_jobs.state(wb, theme.id)
    assert not state.running and state.changed == 0 and (state.accuracy or 0) > 0.9

    doubted = images.page(wb, theme.id, Filter(finding="mislabelled")).items
    guesses = {image.id: image.likelier["mislabelled"] for image in doubted}
    name_of = {label.id: label.name for label in theme.labels}
    wrong = [image for image in doubted if image.file_name in planted]
    assert {name_of[guesses[image.id]] for image in wrong} == {"0", "1", "2", "3"}
    # Two are corrected, one is called right as it is: the doubts are gone, and stay gone.
    for image in wrong[:2]:
        images.label(wb, trainer, theme.id, [(image.id, guesses[image.id])])
    decisions.decide(wb, trainer, theme.id, "mislabelled", [wrong[2].id])
    assert names(wb, theme, "mislabelled") & planted == {wrong[3].file_name}
    assert decisions.precision(wb, theme.id) == decisions.Precision(3, 2)
    checked(wb, trainer, theme, settings)
    assert names(wb, theme, "mislabelled") & planted == {wrong[3].file_name}
    assert decisions.precision(wb, theme.id) == decisions.Precision(3, 2)
    assert [entry.action for entry in findings.entries(wb, theme.id)] == ["check", "keep", "check"]
    # A person who saw the doubt and says something else again is not doubted for it either.
    wrong_again = next(
        label.id for label in theme.labels if label.id not in (wrong[3].label_id, guesses[wrong[3].id])
    )
    images.label(wb, trainer, theme.id, [(wrong[3].id, wrong_again)], source="settled")
    checked(wb, trainer, theme, settings)
    assert not names(wb, theme, "mislabelled") & planted
    # A wrong label that came otherwise is doubted like any other.
    for image in wrong[:3]:
        third = next(each.id for each in theme.labels if each.id not in (image.label_id, guesses[image.id]))
        images.label(wb, trainer, theme.id, [(image.id, third)], source="import")
    checked(wb, trainer, theme, settings)
    again = names(wb, theme, "mislabelled") & planted
    assert again and again <= {image.file_name for image in wrong[:3]}


def test_files_that_went_bad_and_images_from_before_are_looked_at(
    wb: Workbench, theme: themes.Theme, trainer: auth.User, settings: Settings
) -> None:
    first, second, third, *_ = images.page(wb, theme.id).items
    copy = wb.files.read(third.image_path) + b"0"  # other bytes, the same picture
    images.add(wb, trainer, theme.id, [("again.png", copy)])
    wb.db.write(lambda connection: connection.execute(image_clusters.delete()) and None)
    wb.files.write(first.image_path, b"x" * first.size)
    wb.files.write(second.image_path, b"short")
    feature = image_features.c
    forget = image_features.update().values(contrast=None)
    ids = [first.id, third.id]
    wb.db.write(lambda connection: connection.execute(forget.where(feature.image_id.in_(ids))) and None)
    assert findings.standing(wb, theme.id).counts.unchecked == 2
    checked(wb, trainer, theme, settings)
    assert names(wb, theme, "unreadable") == {first.file_name, second.file_name}
    assert names(wb, theme, "twin") == {third.file_name, "again.png"}
    found = findings.standing(wb, theme.id)
    assert (found.counts.unchecked, found.counts.unreadable) == (0, 2)
    assert "unreadable" in {line.name for line in found.gate.failed}
    images.delete(wb, trainer, theme.id, [first.id, second.id])
    assert findings.standing(wb, theme.id).gate.passed


def test_a_copy_with_another_hash_is_found_among_the_nearest(
    wb: Workbench, trainer: auth.User, settings: Settings
) -> None:
    """An upload compares hashes; the check compares what all pictures look like."""
    made = themes.create(wb, trainer, name="Scenes", labels=["a"])
    far, light = next(
        (each, lighter)
        for each in map(scene, range(1_000))
        if different(each, lighter := ImageEnhance.Brightness(each).enhance(1.6)) > Rules().twin_radius
    )
    files = {f"{seed}.png": encoded(scene(seed)) for seed in range(2_000, 2_030)}
    images.add(
        wb, trainer, made.id, [*files.items(), ("far.png", encoded(far)), ("light.png", encoded(light))]
    )
    assert names(wb, made, "twin") == set()
    checked(wb, trainer, made, settings)
    assert names(wb, made, "twin") == {"far.png", "light.png"}
    images.add(wb, trainer, made.id, [("lighter.png", encoded(ImageEnhance.Brightness(far).enhance(1.62)))])
    wb.db.write(lambda connection: connection.execute(image_clusters.delete()) and None)
    checked(wb, trainer, made, settings)
    assert names(wb, made, "twin") == {"far.png", "light.png", "lighter.png"}, "also what was compared before"


def test_what_cannot_be_checked_is_refused_in_a_sentence(
    wb: Workbench, trainer: auth.User, theme: themes.Theme
) -> None:
    empty = themes.create(wb, trainer, name="Empty", labels=["a"])
    with pytest.raises(InvalidInput, match="“Empty” has no images"):
        check_jobs.start(wb, trainer, empty.id)
    check_jobs.start(wb, trainer, theme.id)
    with pytest.raises(Conflict, match="being checked already"):
        check_jobs.start(wb, trainer, theme.id)
    check_jobs.cancel(wb, trainer, theme.id)
    assert not check_jobs.state(wb, theme.id).running


def test_labels_with_too_few_images_are_left_out(
    wb: Workbench, trainer: auth.User, settings: Settings
) -> None:
    theme = themes.create(wb, trainer, name="Few", labels=["cat", "dog"])
    images.add(wb, trainer, theme.id, [("cat/1.png", png(1)), ("dog/2.png", png(2))], label_from_folder=True)
    checked(wb, trainer, theme, settings)
    entry = findings.entries(wb, theme.id)[0]
    assert (entry.detail["left_out"], entry.detail["accuracy"]) == (2, None)


def test_a_check_waits_behind_no_training(wb: Workbench, trainer: auth.User, theme: themes.Theme) -> None:
    training = started(wb, trainer)
    run_id = check_jobs.start(wb, trainer, theme.id)
    waiting = [queue.place(wb, f"run-{number}-1") for number in (training.id, run_id)]
    assert waiting == [1, 1]
    check_jobs.cancel(wb, trainer, theme.id)
    assert queue.place(wb, f"run-{run_id}-1") is None
    assert queue.place(wb, f"run-{training.id}-1") == 1


def test_a_second_check_describes_only_new_pictures(
    wb: Workbench, theme: themes.Theme, trainer: auth.User, settings: Settings
) -> None:
    checked(wb, trainer, theme, settings)
    before = kept(wb, theme)
    assert all(before.values())
    first, second, *_ = images.page(wb, theme.id).items
    # Were the first picture read again, it would now look like the second.
    for side in THUMBNAIL_SIDES:
        ours, other = (thumbnail_key(image.sha256, side) for image in (first, second))
        if wb.files.size(ours) is not None:
            wb.files.write(ours, wb.files.read(other))
    images.add(wb, trainer, theme.id, [("new.png", png(7))])
    checked(wb, trainer, theme, settings)
    after = kept(wb, theme)
    [added] = after.keys() - before.keys()
    assert after.pop(added) not in (None, *before.values())
    assert after == before


def kept(wb: Workbench, theme: themes.Theme) -> dict[int, bytes | None]:
    """Textures by image that the last check left for the next."""
    with wb.db.read() as connection:
        last = side_jobs.newest_applied(connection, check_jobs.KIND, theme.id)
    assert last is not None
    with wb.files.open(last["views"]) as file:
        table = pq.read_table(file)
    return dict(zip(table["image_id"].to_pylist(), table["texture"].to_pylist(), strict=True))


def test_the_job_is_told_which_images_the_model_learnt_from(
    wb: Workbench, theme: themes.Theme, trainer: auth.User
) -> None:
    ids = sorted(image.id for image in images.page(wb, theme.id, limit=500).items)
    version, split = 5, {ids[0]: "train", ids[1]: "valid", ids[2]: "test"}
    used = [
        {"version_id": of, "image_id": ids[n], "split": split.get(ids[n], "train"), "label_id": 1}
        for of, n in ((version, 0), (version, 1), (version, 2), (version + 1, 3))
    ]

    def embed(connection: sa.Connection) -> None:
        connection.execute(model_train_data.insert(), used)
        connection.execute(image_features.update().values(embedding=b"\x01" * 64, version_id=version))

    assert learnt(wb, trainer, theme) == set()
    wb.db.write(embed)
    assert learnt(wb, trainer, theme) == {ids[0]}


def learnt(wb: Workbench, actor: auth.User, theme: themes.Theme) -> set[int]:
    run_id = check_jobs.start(wb, actor, theme.id)
    [row] = rows_where(wb, finetuning_jobs.c.id == run_id)
    check_jobs.cancel(wb, actor, theme.id)
    with wb.files.open(row["spec"]["manifest"]) as file:
        return {each["image_id"] for each in pq.read_table(file).to_pylist() if each["learnt"]}
