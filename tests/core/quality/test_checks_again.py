"""A second check of images: what it takes over from the first, and when it judges all of them anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pictures import encoded, png
from PIL import Image
from sklearn.datasets import load_digits

from core import auth, images, themes
from core.collector import Collector
from core.db.tables import finetuning_jobs
from core.events import Type
from core.quality import check_jobs, decisions, maps, suspicion
from core.run_watch import rows_where
from core.settings import Settings
from core.spec import CheckSpec
from core.workbench import Workbench
from jobs import check
from jobs.runtime import Job
from tests.steps import in_file

PER_DIGIT = 40
Found = dict[int, dict[str, Any]]


def scans(first: int, last: int) -> list[tuple[str, bytes]]:
    """Scans first to last of the zeros to threes each, in folders; every tenth lies in the wrong one."""
    digits = load_digits()
    files = []
    for digit in range(4):
        for number, index in list(enumerate(np.flatnonzero(digits.target == digit)))[first:last]:
            scan = Image.fromarray((digits.images[index] * (255 / 16)).astype("uint8")).resize((32, 32), 0)
            folder = (digit + 1) % 4 if number % 10 == 7 else digit
            files.append((f"{folder}/{digit}-{number}.png", encoded(scan)))
    return files


@pytest.fixture
def theme(wb: Workbench, trainer: auth.User) -> themes.Theme:
    made = themes.create(wb, trainer, name="Digits", labels=["0", "1", "2", "3"])
    images.add(wb, trainer, made.id, scans(0, PER_DIGIT), label_from_folder=True)
    return made


def checked(
    wb: Workbench, actor: auth.User, theme: themes.Theme, settings: Settings, *, anew: bool = False
) -> tuple[Found, Found]:
    """(what a check finds that goes on from the one before it, what one finds that knows of none), by image."""
    run_id = check_jobs.start(wb, actor, theme.id, anew=anew)
    [row] = rows_where(wb, finetuning_jobs.c.id == run_id)
    spec = CheckSpec.model_validate(row["spec"])
    alone = spec.model_copy(update={"run_id": 900_000 + run_id, "judged": None})
    found = []
    for each in (alone, spec):
        with Job(each, 1, settings) as job:
            check.main(job, each)
        events = in_file(settings, each.run_id)
        [result] = [event.payload for event in events if event.type == Type.RESULT]
        with wb.files.open(result["findings"]) as file:
            found.append({row["image_id"]: row for row in pq.read_table(file).to_pylist()})
    Collector(wb).store(in_file(settings, run_id))
    check_jobs.tend(wb)
    return found[1], found[0]


def test_few_new_pictures_are_judged_by_what_was_learnt(
    wb: Workbench, theme: themes.Theme, trainer: auth.User, settings: Settings
) -> None:
    first, alone = checked(wb, trainer, theme, settings)
    assert first == alone and any(row["guess_id"] for row in first.values())
    again, _ = checked(wb, trainer, theme, settings)
    assert again == first
    before = check_jobs.state(wb, theme.id)
    assert (before.together, before.since) == (4 * PER_DIGIT, 0)

    more = [file for file in scans(PER_DIGIT, PER_DIGIT + 10) if file[0].endswith(("0-47.png", "1-41.png"))]
    images.add(wb, trainer, theme.id, more, label_from_folder=True)
    names = {image.id: image.file_name for image in images.page(wb, theme.id, limit=500).items}
    later, _ = checked(wb, trainer, theme, settings)
    state = check_jobs.state(wb, theme.id)
    assert (state.together, state.since, state.accuracy) == (4 * PER_DIGIT, 2, before.accuracy)
    new = {image_id: row for image_id, row in later.items() if image_id not in first}
    assert {names[i] for i, row in new.items() if row["guess_id"]} == {"1/0-47.png"}
    judged = ("guess_id", "score", "label_id", "turn", "lies_right")
    for image_id, row in first.items():
        assert [later.get(image_id, {}).get(name) for name in judged] == [row[name] for name in judged]

    together, alone = checked(wb, trainer, theme, settings, anew=True)
    state = check_jobs.state(wb, theme.id)
    assert together == alone and (state.together, state.since) == (4 * PER_DIGIT + 2, 0)

    images.add(wb, trainer, theme.id, [(f"{n}.png", png(n)) for n in range(4)])
    grown, alone = checked(wb, trainer, theme, settings)  # more than 2 % of 162
    assert grown == alone
    assert check_jobs.state(wb, theme.id).since == 0


def test_all_labels_stand_in_the_order_of_suspicion_but_those_that_people_confirmed(
    wb: Workbench, theme: themes.Theme, trainer: auth.User, settings: Settings
) -> None:
    which = images.Filter(sort="suspicious")
    assert suspicion.order(wb, theme.id, which).tolist() == images.ids(wb, theme.id, which).tolist()
    found, _ = checked(wb, trainer, theme, settings)
    order = suspicion.order(wb, theme.id, which).tolist()
    assert sorted(order) == sorted(images.ids(wb, theme.id).tolist())
    wrong = {i.id for i in images.page(wb, theme.id, limit=500).items if "7." in i.file_name}
    assert len(wrong) == 16 and len(wrong & set(order[:20])) >= 15
    doubted = {image_id: row["score"] for image_id, row in found.items() if row["guess_id"]}
    assert [i for i in order if i in doubted] == sorted(doubted, key=lambda i: doubted[i])

    [kept, relabelled] = order[:2]
    decisions.decide(wb, trainer, theme.id, "mislabelled", [kept])
    other = {image.id: image.likelier["mislabelled"] for image in images.rows(wb, theme.id, [relabelled])}
    images.label(wb, trainer, theme.id, [(relabelled, other[relabelled])], source="settled")
    rest = suspicion.order(wb, theme.id, which).tolist()
    assert rest[:-2] == order[2:] and set(rest[-2:]) == {kept, relabelled}

    images.add(wb, trainer, theme.id, scans(PER_DIGIT + 7, PER_DIGIT + 8)[:1], label_from_folder=True)
    [new] = images.ids(wb, theme.id)[:1].tolist()
    assert new in suspicion.order(wb, theme.id, which).tolist()[-3:], "it was not judged yet"
    checked(wb, trainer, theme, settings)
    again = suspicion.order(wb, theme.id, which).tolist()
    assert new in again[:20], "it lies in a wrong folder"
    assert set(again[-2:]) == {kept, relabelled}, "what people said of these counts"


def test_another_label_or_many_that_went_have_all_judged_anew(
    wb: Workbench, theme: themes.Theme, trainer: auth.User, settings: Settings
) -> None:
    checked(wb, trainer, theme, settings)
    ids = [image.id for image in images.page(wb, theme.id, limit=500).items]
    three = next(label.id for label in theme.labels if label.name == "3")
    images.label(wb, trainer, theme.id, [(ids[0], three)])
    found, alone = checked(wb, trainer, theme, settings)
    assert found == alone and check_jobs.state(wb, theme.id).since == 0
    images.delete(wb, trainer, theme.id, ids[5:6])
    checked(wb, trainer, theme, settings)
    assert check_jobs.state(wb, theme.id).since == 1
    images.delete(wb, trainer, theme.id, ids[10:20])
    found, alone = checked(wb, trainer, theme, settings)
    assert found == alone and check_jobs.state(wb, theme.id).since == 0


@pytest.mark.parametrize("seed", range(4))
def test_distances_are_the_same_whatever_was_measured_before(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, known = 300, int(rng.integers(maps.LEAST, 300))
    vectors = rng.integers(-127, 128, (n, 192), dtype=np.int8)
    vectors[n // 2 :: 3] = vectors[0]
    vectors[7] = 0
    _, nearest = maps.far(vectors[:known])
    whole, on = maps.far(vectors), maps.far(vectors, nearest)
    assert np.array_equal(whole[0], on[0]) and np.array_equal(whole[1], on[1])
