from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from pictures import png, tarred, zipped
from PIL import Image

from core import auth, images, labelling, themes
from core.errors import InvalidInput, NotAllowed, NotFound
from core.workbench import Workbench


@pytest.fixture
def theme(_bench: Workbench, trainer: auth.User) -> themes.Theme:
    return themes.create(_bench, trainer, name="Animals", labels=["cat", "dog"])


def files(*seeds: int) -> list[tuple[str, bytes]]:
    return [(f"{seed}.png", png(seed)) for seed in seeds]


def ids(wb: Workbench, theme: themes.Theme) -> list[int]:
    return [image.id for image in images.page(wb, theme.id).items]


def test_an_upload_stores_file_thumbnail_and_row(
    wb: Workbench, theme: themes.Theme, labeler: auth.User
) -> None:
    report = images.add(wb, labeler, theme.id, [("fotos/a.png", png(1, (640, 480)))])
    assert (report.added, report.duplicates, report.refused) == (1, 0, [])
    [image] = images.page(wb, theme.id).items
    assert (image.file_name, image.format, image.width, image.height) == ("fotos/a.png", "PNG", 640, 480)
    assert (image.label_id, image.split, image.uploaded_by) == (None, None, "labeler")
    assert wb.files.read(image.image_path) == png(1, (640, 480))
    assert image.size == len(png(1, (640, 480)))
    thumbnail = Image.open(io.BytesIO(wb.files.read(images.thumbnail_key(image.sha256, 256))))
    assert thumbnail.size == (256, 192)
    assert images.get(wb, theme.id, image.id) == images.find(wb, image.id) == image


def test_many_files_archives_paths_and_refusals_in_one_upload(
    wb: Workbench, theme: themes.Theme, labeler: auth.User, tmp_path: Path
) -> None:
    (tmp_path / "packed").write_bytes(tarred({"t/1.png": png(1), "t/readme.txt": b"hello"}))
    report = images.add(
        wb,
        labeler,
        theme.id,
        [
            ("a.zip", io.BytesIO(zipped({"2.png": png(2), "../3.png": png(3)}))),
            ("b.tar.gz", tmp_path / "packed"),
            ("4.png", png(4)),
            ("same.png", png(2)),
            ("same again.png", png(4)),
            ("empty.png", b""),
        ],
    )
    assert (report.added, report.duplicates) == (3, 2)
    assert report.duplicate_names == ["same.png", "same again.png"]
    assert [r.name for r in report.refused] == ["../3.png", "t/readme.txt", "empty.png"]
    assert all(f"“{r.name}”" in r.reason for r in report.refused)
    assert sorted(i.file_name for i in images.page(wb, theme.id).items) == ["2.png", "4.png", "t/1.png"]


def test_what_came_before_a_failure_stays(
    wb_duckdb: Workbench, theme: themes.Theme, labeler: auth.User
) -> None:
    def broken_off():  # type: ignore[no-untyped-def]
        yield from files(1, 2, 3)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        images.add(wb_duckdb, labeler, theme.id, broken_off())
    assert len(ids(wb_duckdb, theme)) == 3
    report = images.add(wb_duckdb, labeler, theme.id, files(1, 2, 3, 4, 5))
    assert (report.added, report.duplicates) == (2, 3)


def test_the_same_file_in_the_folder_of_another_label_is_named_and_changes_nothing(
    wb: Workbench, trainer: auth.User
) -> None:
    theme = themes.create(wb, trainer, name="Pets", labels=["cat", "dog"])

    def sent(**files: bytes) -> images.UploadReport:
        packed = zipped({name.replace("_", "/", 1) + ".png": data for name, data in files.items()})
        return images.add(wb, trainer, theme.id, [("a.zip", packed)], label_from_folder=True)

    first = sent(cat_1=png(1), Cat_2=png(2), dog_3=png(3), dog_again=png(1))
    assert (first.added, first.duplicates, first.contradicted_names) == (3, 1, ["dog/again.png"])
    again = sent(dog_1=png(1), cat_2=png(2), other_3=png(3), cat_4=png(4))
    assert (again.added, again.duplicates) == (1, 3)
    assert again.contradicted_names == ["dog/1.png"]  # “other” is no label
    assert sorted(images.statistics(wb, theme.id).by_label.values()) == [1, 3]
    unsaid = images.add(wb, trainer, theme.id, [("a.zip", zipped({"dog/1.png": png(1)}))])
    assert (unsaid.duplicates, unsaid.contradicted) == (1, 0)


def test_an_image_without_label_that_comes_again_in_a_folder_gets_its_label(
    wb: Workbench, trainer: auth.User, labeler: auth.User
) -> None:
    theme = themes.create(wb, trainer, name="Pets", labels=["cat"])
    packed = zipped({"cat/1.png": png(1), "dog/2.png": png(2), "dog/3.png": png(3)})
    images.add(wb, trainer, theme.id, [("a.zip", packed)])
    [one] = [i.id for i in images.page(wb, theme.id, images.Filter()).items if i.file_name.endswith("3.png")]
    labelling.label(wb, trainer, theme.id, [(one, themes.get(wb, theme.id).labels[0].id)])
    report = images.add(wb, labeler, theme.id, [("a.zip", packed)], label_from_folder=True)
    assert (report.added, report.duplicates, report.labelled_late) == (0, 3, 1), "“dog” is no label yet"
    report = images.add(
        wb, trainer, theme.id, [("a.zip", packed)], label_from_folder=True, create_labels=True
    )
    assert (report.labelled_late, report.contradicted, report.labels_created) == (1, 1, ["dog"])
    assert sorted(images.statistics(wb, theme.id).by_label.values()) == [1, 2], "what a person chose stays"


def test_folders_give_labels_and_splits_where_asked(
    wb: Workbench, theme: themes.Theme, labeler: auth.User, trainer: auth.User
) -> None:
    packed = zipped(
        {
            "pets/train/CAT/1.png": png(1),
            "pets/val/dog/2.png": png(2),
            "pets/test/fox/3.png": png(3),
            "4.png": png(4),
        }
    )
    with pytest.raises(NotAllowed):
        images.add(wb, labeler, theme.id, [], label_from_folder=True, create_labels=True)
    report = images.add(
        wb, labeler, theme.id, [("p.zip", packed)], label_from_folder=True, split_from_folder=True
    )
    assert (report.added, report.labelled, report.labels_created) == (4, 2, [])
    found = {i.file_name: i for i in images.page(wb, theme.id).items}
    cat, dog = theme.labels
    assert [(i.label_id, i.split, i.labeled_by) for _, i in sorted(found.items())] == [
        (None, None, None),
        (None, "test", None),
        (cat.id, "train", "labeler"),
        (dog.id, "valid", "labeler"),
    ]
    more = zipped({"fox/5.png": png(5), "Fox/6.png": png(6), f"{'x' * 101}/7.png": png(7)})
    report = images.add(wb, trainer, theme.id, [("q.zip", more)], label_from_folder=True, create_labels=True)
    assert (report.added, report.labelled, report.labels_created) == (3, 2, ["fox"])
    assert [label.name for label in themes.get(wb, theme.id).labels] == ["cat", "dog", "fox"]


def test_the_number_of_files_is_limited(
    wb_duckdb: Workbench, theme: themes.Theme, labeler: auth.User
) -> None:
    small = replace(wb_duckdb, settings=replace(wb_duckdb.settings, max_files_per_upload=2))
    report = images.add(small, labeler, theme.id, files(1, 2, 3))
    assert (report.added, report.refused_total) == (2, 1)
    assert "one upload can bring 2 files" in report.refused[0].reason


def test_pages_go_by_key_newest_first(wb: Workbench, theme: themes.Theme, labeler: auth.User) -> None:
    images.add(wb, labeler, theme.id, files(*range(5)))
    first = images.page(wb, theme.id, limit=2)
    images.add(wb, labeler, theme.id, files(6))  # shifts nothing
    second = images.page(wb, theme.id, limit=2, after=first.next)
    third = images.page(wb, theme.id, limit=2, after=second.next)
    names = [image.file_name for page in (first, second, third) for image in page.items]
    assert names == ["4.png", "3.png", "2.png", "1.png", "0.png"] and third.next is None


def test_labels_are_set_taken_away_filtered_counted_and_remembered(
    wb: Workbench, theme: themes.Theme, labeler: auth.User
) -> None:
    cat, dog = theme.labels
    images.add(wb, labeler, theme.id, files(1, 2, 3))
    one, two, three = ids(wb, theme)
    assert images.label(wb, labeler, theme.id, [(one, dog.id), (two, dog.id), (one, cat.id)]) == 2
    assert images.label(wb, labeler, theme.id, [(one, cat.id), (two, None), (three, None)]) == 1
    assert [i.id for i in images.page(wb, theme.id, images.Filter(state="labelled")).items] == [one]
    assert [i.id for i in images.page(wb, theme.id, images.Filter(state="unlabelled")).items] == [two, three]
    assert [i.id for i in images.page(wb, theme.id, images.Filter(label=cat.id)).items] == [one]
    assert [i.id for i in images.page(wb, theme.id, images.Filter(split="none")).items] == [one, two, three]
    assert images.page(wb, theme.id, images.Filter(split="train")).items == []
    image = images.find(wb, one)
    assert (image.label_id, image.labeled_by, image.labeled_at is not None) == (cat.id, "labeler", True)
    assert images.find(wb, two).labeled_at is None
    assert [(c.user, c.before, c.after, c.source) for c in images.history(wb, two)] == [
        ("labeler", None, "dog", "hand"),
        ("labeler", "dog", None, "hand"),
    ]
    counts = images.statistics(wb, theme.id)
    assert (counts.total, counts.labelled, counts.unlabelled) == (3, 1, 2)
    assert (counts.by_label, counts.by_split) == ({cat.id: 1}, {None: 3})
    assert counts.by_label_split == {cat.id: {None: 1}}


def test_what_is_not_of_the_theme_is_refused_by_number_before_anything_is_written(
    wb: Workbench, theme: themes.Theme, trainer: auth.User
) -> None:
    other = themes.create(wb, trainer, name="Other", labels=["x"])
    images.add(wb, trainer, theme.id, files(1))
    images.add(wb, trainer, other.id, files(1))
    [mine], [foreign] = ids(wb, theme), ids(wb, other)
    cat = theme.labels[0].id
    with pytest.raises(InvalidInput, match=rf"images .*: {foreign}, 999\."):
        images.label(wb, trainer, theme.id, [(mine, cat), (foreign, cat), (999, None)])
    with pytest.raises(InvalidInput, match=rf"labels .*: {other.labels[0].id}\."):
        images.label(wb, trainer, theme.id, [(mine, other.labels[0].id)])
    with pytest.raises(InvalidInput, match=str(foreign)):
        images.delete(wb, trainer, theme.id, [mine, foreign])
    with pytest.raises(NotFound):
        images.get(wb, theme.id, foreign)
    assert images.statistics(wb, theme.id).unlabelled == 1


def test_a_deleted_image_is_gone_and_can_be_uploaded_again(
    wb: Workbench, theme: themes.Theme, labeler: auth.User
) -> None:
    images.add(wb, labeler, theme.id, files(1, 2))
    _, one = ids(wb, theme)
    assert images.delete(wb, labeler, theme.id, [one, one]) == 1
    with pytest.raises(NotFound):
        images.find(wb, one)
    with pytest.raises(InvalidInput):
        images.label(wb, labeler, theme.id, [(one, None)])
    assert images.statistics(wb, theme.id).total == 1
    report = images.add(wb, labeler, theme.id, files(1, 2))
    assert (report.added, report.duplicates) == (1, 1)
    assert one not in ids(wb, theme) and len(ids(wb, theme)) == 2


def test_viewers_change_nothing(wb_duckdb: Workbench, theme: themes.Theme, viewer: auth.User) -> None:
    for act in (
        lambda: images.add(wb_duckdb, viewer, theme.id, files(1)),
        lambda: images.label(wb_duckdb, viewer, theme.id, []),
        lambda: images.delete(wb_duckdb, viewer, theme.id, []),
    ):
        with pytest.raises(NotAllowed):
            act()
