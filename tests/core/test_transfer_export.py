"""What goes out says exactly what the theme holds, to independent readers and to an import elsewhere."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import png

from core import auth, images, labelling, splits, themes, transfer
from core.cells import escaped, unescaped
from core.errors import InvalidInput, NotAllowed
from core.labelling import Action
from core.transfer import archive_stream, export
from core.workbench import Workbench
from tests.steps import wait_for

HOSTILE = ["=cmd()", "../../x", "<img onerror=alert(1)>", "猫 / 고양이", "long " * 15]


@pytest.fixture
def theme(wb: Workbench, trainer: auth.User) -> themes.Theme:
    """Two images of each label, one unlabelled, one flagged, files that share a name, splits."""
    made = themes.create(wb, trainer, name="../Ünsafe: theme", description="d", labels=["zebra", *HOSTILE])
    themes.update_label(wb, trainer, made.id, made.labels[0].id, color="#123456")
    files = [(f"{n}/same.png", png(n, (16, 8))) for n in range(12)] + [("=1+1.png", png(99))]
    images.add(wb, trainer, made.id, files)
    ids = sorted(image.id for image in images.page(wb, made.id).items)
    images.label(wb, trainer, made.id, [(i, made.labels[n % 6].id) for n, i in enumerate(ids[:12])])
    splits.split(wb, trainer, made.id)
    labelling.act(wb, trainer, made.id, [Action("e-1-aaaaaa", notes=[(ids[0], ""), (ids[1], "=which?")])])
    return themes.get(wb, made.id)


def content(wb: Workbench, theme_id: int) -> tuple[list[tuple[str, str]], dict[str, tuple[Any, ...]]]:
    """(labels with colours in order, image facts by hash) of a theme."""
    theme = themes.get(wb, theme_id)
    names = {label.id: label.name for label in theme.labels}
    return [(label.name, label.color) for label in theme.labels], {
        image.sha256: (
            image.file_name,
            names.get(image.label_id or 0),
            image.split,
            image.group_name,
            image.flag_note,
        )
        for image in images.page(wb, theme_id).items
    }


def exported(wb: Workbench, actor: auth.User, theme_id: int, format: str, **options: bool) -> bytes:
    return b"".join(export.stream(wb, actor, theme_id, format, **options).chunks)


def taken_in(wb: Workbench, actor: auth.User, data: bytes, path: Path) -> int:
    path.write_bytes(data)
    other = themes.create(wb, actor, name=f"Elsewhere {path.name}")
    started = transfer.start(wb, actor, other.id, path, transfer.Options())
    wait_for(lambda: transfer.get(wb, started.id).status != "running")
    done = transfer.get(wb, started.id)
    assert (done.status, done.refused, done.error) == ("done", 0, None), done.refusals
    return other.id


@pytest.mark.parametrize("format", ["manifest", "parquet"])
def test_a_theme_exported_and_imported_elsewhere_is_identical(
    wb: Workbench, trainer: auth.User, theme: themes.Theme, tmp_path: Path, format: str
) -> None:
    data = exported(wb, trainer, theme.id, format)
    other = taken_in(wb, trainer, data, tmp_path / f"{format}.zip")
    assert content(wb, other) == content(wb, theme.id)


@pytest.mark.parametrize("format", ["folders", "coco", "labelstudio", "imagefolder"])
def test_other_formats_carry_images_and_labels(
    wb_duckdb: Workbench, trainer: auth.User, tmp_path: Path, format: str
) -> None:
    theme = themes.create(wb_duckdb, trainer, name="Plain", labels=["cat", "dog"])
    files = [(f"{('cat', 'dog')[n % 2]}/{n}.png", png(n)) for n in range(8)]
    images.add(wb_duckdb, trainer, theme.id, files, label_from_folder=True)
    splits.split(wb_duckdb, trainer, theme.id)
    data = exported(wb_duckdb, trainer, theme.id, format)
    other = taken_in(wb_duckdb, trainer, data, tmp_path / "out.zip")
    labels, found = content(wb_duckdb, other)
    assert labels == content(wb_duckdb, theme.id)[0]
    expected = content(wb_duckdb, theme.id)[1]
    assert {sha: facts[1] for sha, facts in found.items()} == {
        sha: facts[1] for sha, facts in expected.items()
    }
    if format in ("folders", "imagefolder"):
        assert {s: facts[2] for s, facts in found.items()} == {s: facts[2] for s, facts in expected.items()}


def test_the_archive_is_read_by_others(wb_duckdb: Workbench, trainer: auth.User, tmp_path: Path) -> None:
    theme = themes.create(wb_duckdb, trainer, name="T", labels=["a"])
    images.add(wb_duckdb, trainer, theme.id, [("=x.png", png(1, (16, 8))), ("etc/y.png", png(2))])
    [second, first] = images.page(wb_duckdb, theme.id).items
    images.label(wb_duckdb, trainer, theme.id, [(first.id, theme.labels[0].id)])
    with zipfile.ZipFile(io.BytesIO(exported(wb_duckdb, trainer, theme.id, "manifest"))) as archive:
        assert archive.testzip() is None
        assert not any(".." in name or name.startswith("/") for name in archive.namelist())
        rows = list(csv.DictReader(io.StringIO(archive.read("manifest.csv").decode())))
        assert [row["original_name"] for row in rows] == ["'=x.png", second.file_name]
        assert archive.read(rows[0]["image"]) == png(1, (16, 8))
        assert json.loads(archive.read("theme.json"))["labels"] == [{"name": "a", "color": "#0072B2"}]
    with zipfile.ZipFile(
        io.BytesIO(exported(wb_duckdb, trainer, theme.id, "coco", with_images=False))
    ) as archive:
        assert sorted(archive.namelist()) == ["annotations.json", "theme.json"]
        coco = json.loads(archive.read("annotations.json"))
        [annotation] = coco["annotations"]
        assert (annotation["bbox"], len(coco["images"])) == ([0, 0, 16, 8], 2)
    table = pq.read_table(io.BytesIO(exported(wb_duckdb, trainer, theme.id, "snapshot")))
    assert table.column("label").to_pylist() == ["a", None]


def test_a_large_theme_comes_as_a_tar(
    wb_duckdb: Workbench, trainer: auth.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    theme = themes.create(wb_duckdb, trainer, name="T", labels=["a"])
    images.add(wb_duckdb, trainer, theme.id, [(f"{n}.png", png(n)) for n in range(3)])
    monkeypatch.setattr(export, "MAX_ZIP", 2)
    with tarfile.open(fileobj=io.BytesIO(exported(wb_duckdb, trainer, theme.id, "manifest"))) as archive:
        assert len(archive.getnames()) == 5


def test_an_archive_hands_bytes_on_as_entries_go_in() -> None:
    for archive in (archive_stream.Zip(), archive_stream.Tar()):
        sizes = [sum(map(len, archive.add(f"{n}", bytes(100_000), 100_000))) for n in range(3)]
        assert sum(sizes) >= 290_000
        list(archive.end())


@given(st.text())
def test_a_cell_comes_back_as_it_was(text: str) -> None:
    assert unescaped(escaped(text)) == text
    assert not escaped(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_what_cannot_be_exported_is_refused(
    wb_duckdb: Workbench, trainer: auth.User, viewer: auth.User
) -> None:
    theme = themes.create(wb_duckdb, trainer, name="T", labels=["a"])
    with pytest.raises(InvalidInput, match="xml"):
        export.stream(wb_duckdb, trainer, theme.id, "xml")
    with pytest.raises(InvalidInput, match="with the images"):
        export.stream(wb_duckdb, trainer, theme.id, "folders", with_images=False)
    with pytest.raises(NotAllowed):
        export.stream(wb_duckdb, viewer, theme.id, "manifest")
