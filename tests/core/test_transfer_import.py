from __future__ import annotations

import hashlib
import io
import json
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings, strategies
from pictures import png, tarred, zipped

from core import auth, images, themes, transfer
from core.db.tables import imports, train_data
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from core.processes import wait_until
from core.transfer import Import, Options
from core.workbench import Workbench


@pytest.fixture
def theme(_bench: Workbench, trainer: auth.User) -> themes.Theme:
    return themes.create(_bench, trainer, name="Animals", labels=["cat", "dog"])


def sha(seed: int) -> str:
    return hashlib.sha256(png(seed)).hexdigest()


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def ended(wb: Workbench, started: Import) -> Import:
    for _ in range(600):
        now = transfer.get(wb, started.id)
        if now.status != "running":
            return now
        time.sleep(0.05)
    raise AssertionError("the import did not end")


def imported(
    wb: Workbench, actor: auth.User, theme: themes.Theme, source: Path, options: Options | None = None
) -> Import:
    return ended(wb, transfer.start(wb, actor, theme.id, source, options or Options()))


def state(wb: Workbench, theme: themes.Theme) -> dict[str, tuple[str | None, str | None]]:
    """(label, split) of each image by file name."""
    names = {label.id: label.name for label in themes.get(wb, theme.id).labels}
    return {
        image.file_name: (names.get(image.label_id or 0), image.split)
        for image in images.page(wb, theme.id, limit=1000).items
    }


PETS = {
    "pets/train/cat/1.png": png(1),
    "pets/valid/DOG/2.png": png(2),
    "pets/test/fox/3.png": png(3),
    "pets/train/cat/again.png": png(1),
    "pets/train/cat/readme.txt": b"hello",
}


@pytest.mark.parametrize("pack", ["zip", "tar.gz", "folder"])
def test_folders_dry_run_then_import_then_the_same_again(
    wb: Workbench, theme: themes.Theme, trainer: auth.User, tmp_path: Path, pack: str
) -> None:
    if pack == "folder":
        wb = replace(wb, settings=replace(wb.settings, import_roots=(tmp_path.resolve(),)))
        source = tmp_path / "given"
        for name, data in PETS.items():
            put(source, name, data)
    else:
        source = put(tmp_path, "given", zipped(PETS) if pack == "zip" else tarred(PETS))
    plan = transfer.plan(wb, trainer, theme.id, source, Options())
    assert (plan.format, plan.images, plan.new, plan.known, plan.labelled) == ("folders", 4, 3, 1, 3)
    assert (plan.labels, plan.new_labels) == ({"cat": 1, "dog": 1, "fox": 1}, ["fox"])
    assert plan.splits == {"train": 1, "valid": 1, "test": 1}
    assert [problem.name for problem in plan.problems] == ["pets/train/cat/readme.txt"]
    assert state(wb, theme) == {}

    first = imported(wb, trainer, theme, source)
    assert (first.status, first.error, first.format) == ("done", None, "folders")
    assert (first.total, first.done, first.added, first.labelled, first.known, first.refused) == (
        4, 4, 3, 3, 1, 1,
    )  # fmt: skip
    assert state(wb, theme) == {
        "pets/train/cat/1.png": ("cat", "train"),
        "pets/valid/DOG/2.png": ("dog", "valid"),
        "pets/test/fox/3.png": ("fox", "test"),
    }
    [image] = images.page(wb, theme.id, images.Filter(split="test")).items
    [change] = images.history(wb, image.id)
    assert (change.after, change.source, change.user) == ("fox", "import", "trainer")
    assert wb.files.read(image.image_path) == png(3)
    assert wb.files.exists(images.thumbnail_key(image.sha256, 256))

    again = imported(wb, trainer, theme, source)
    assert (again.added, again.labelled, again.known) == (0, 0, 4)
    assert len(images.history(wb, image.id)) == 1
    assert [past.id for past in transfer.history(wb, theme.id)] == [again.id, first.id]


def test_a_manifest_labels_images_known_by_their_hash(
    wb: Workbench, theme: themes.Theme, trainer: auth.User, tmp_path: Path
) -> None:
    other = themes.create(wb, trainer, name="Other")
    images.add(wb, trainer, other.id, [("a.png", png(1)), ("b.png", png(2))])
    images.add(wb, trainer, theme.id, [("c.png", png(3)), ("d.png", png(4))])
    dog = themes.get(wb, theme.id).labels[1]
    [four] = [image for image in images.page(wb, theme.id).items if image.file_name == "d.png"]
    images.label(wb, trainer, theme.id, [(four.id, dog.id)])
    lines = ["sha256,class,Subset,group,path"]
    lines += [f"{sha(seed)},cat,val,g{seed % 2}," for seed in (1, 2, 3, 4)]
    lines += [f"{sha(99)},cat,,,lost.png", "nothex,cat,,,x.png", ",cat,,,", f"{sha(1)},cat,val,,"]
    source = put(tmp_path, "list.csv", "\n".join(lines).encode("utf-8-sig"))

    plan = transfer.plan(wb, trainer, theme.id, source, Options())
    assert (plan.format, plan.images, plan.new, plan.known, plan.groups) == ("manifest", 5, 2, 3, 2)
    assert (plan.labelled, plan.relabels, plan.splits) == (3, 1, {"valid": 4})
    assert [problem.name for problem in plan.problems] == ["x.png", "list.csv: 7", "lost.png"]
    [conflict] = plan.conflicts
    assert "keeps its label “dog”; the source says “cat”" in conflict.text

    done = imported(wb, trainer, theme, source)
    assert (done.status, done.added, done.labelled, done.known, done.refused) == ("done", 2, 3, 3, 3)
    assert state(wb, theme) == {
        "a.png": ("cat", "valid"),
        "b.png": ("cat", "valid"),
        "c.png": ("cat", "valid"),
        "d.png": ("dog", "valid"),
    }
    with wb.db.read() as connection:
        columns = train_data.c
        found = connection.execute(
            sa.select(columns.file_name, columns.import_id, columns.group_name, columns.width)
            .where(columns.theme_id == theme.id)
            .order_by(columns.file_name)
        ).all()
    assert [tuple(row) for row in found] == [
        ("a.png", done.id, "g1", 24),
        ("b.png", done.id, "g0", 24),
        ("c.png", None, "g1", 24),
        ("d.png", None, "g0", 24),
    ]


def test_a_manifest_names_files_of_its_archive(
    wb_duckdb: Workbench, theme: themes.Theme, labeler: auth.User, tmp_path: Path
) -> None:
    table = pa.table(
        {
            "image": [
                "a/1.png",
                "2.png",
                "https://example.org/x/3.png",
                "https://example.org/4.png",
                "../5.png",
            ],
            "label": ["cat", "cow", None, "cat", "cat"],
            "split": ["train", "train", "oops", None, None],
        }
    )
    parquet = io.BytesIO()
    pq.write_table(table, parquet)
    files = {"set/list.parquet": parquet.getvalue(), "set/a/1.png": png(1), "set/b/2.png": png(2)}
    files |= {"set/3.png": png(3), "set/unnamed.png": png(6), "5.png": png(5)}
    source = put(tmp_path, "given.zip", zipped(files))
    plan = transfer.plan(wb_duckdb, labeler, theme.id, source, Options(create_labels=False))
    assert (plan.format, plan.new, plan.labelled, plan.new_labels) == ("manifest", 3, 1, ["cow"])
    assert [problem.name for problem in plan.problems] == [
        "https://example.org/4.png", "../5.png", "set/list.parquet",
    ]  # fmt: skip
    assert "nothing is fetched" in plan.problems[0].reason
    assert [conflict.name for conflict in plan.conflicts] == ["set/3.png", "cow"]
    done = imported(wb_duckdb, labeler, theme, source, Options(create_labels=False))
    assert (done.added, done.labelled) == (3, 1)
    assert state(wb_duckdb, theme)["set/b/2.png"] == (None, "train")
    bare = imported(
        wb_duckdb,
        labeler,
        themes.create(wb_duckdb, auth.list_users(wb_duckdb)[0], name="Bare"),
        source,
        Options(create_labels=False, take_labels=False, take_splits=False),
    )
    assert (bare.added, bare.labelled) == (3, 0)


def test_coco_takes_one_category_and_names_the_rest(
    wb_duckdb: Workbench, theme: themes.Theme, trainer: auth.User, tmp_path: Path
) -> None:
    coco = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in (1, 2, 3, 4, 5)],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7},
            {"id": 2, "image_id": 1, "category_id": 7},
            {"id": 3, "image_id": 2, "category_id": 7},
            {"id": 4, "image_id": 2, "category_id": 8},
            {"id": 5, "image_id": 3, "category_id": 99},
        ],
        "categories": [{"id": 7, "name": "cat"}, {"id": 8, "name": "dog"}],
    }
    files = {f"train/images/{n}.png": png(n) for n in (1, 2, 3, 4)}
    source = put(tmp_path, "coco.zip", zipped({"train/_annotations.coco.json": as_json(coco), **files}))
    plan = transfer.plan(wb_duckdb, trainer, theme.id, source, Options())
    assert (plan.format, plan.images, plan.labels) == ("coco", 4, {"cat": 1})
    assert [conflict.name for conflict in plan.conflicts] == ["2.png", "3.png"]
    assert "names 2 of them (cat, dog)" in plan.conflicts[0].text
    assert [problem.name for problem in plan.problems] == ["5.png"]
    done = imported(wb_duckdb, trainer, theme, source)
    assert (done.status, done.added, done.labelled, done.refused) == ("done", 4, 1, 1)
    assert state(wb_duckdb, theme)["train/images/1.png"] == ("cat", "train")


def test_label_studio_takes_the_first_annotation_that_stands(
    wb_duckdb: Workbench, theme: themes.Theme, trainer: auth.User, tmp_path: Path
) -> None:
    def task(image: object, *annotations: tuple[bool, list[str]]) -> dict[str, object]:
        return {
            "data": {"image": image},
            "annotations": [
                {"was_cancelled": gone, "result": [{"type": "choices", "value": {"choices": names}}]}
                for gone, names in annotations
            ],
        }

    tasks = [
        task("/data/upload/3/0a1b2c3d-1.png", (True, ["dog"]), (False, ["cat"]), (False, ["dog"])),
        task("/data/local-files/?d=some/folder/2%20b.png", (False, ["dog"])),
        task("s3://bucket/3.png", (False, ["cat", "dog"])),
        task("/data/upload/3/4.png"),
        task("/data/upload/3/5.png", (False, ["cat"])),
        task("/data/upload/../../etc/passwd", (False, ["cat"])),
        task(None),
    ]
    files = {"1.png": png(1), "in/2 b.png": png(2), "3.png": png(3), "4.png": png(4)}
    source = put(tmp_path, "ls.tar", tarred({"export.json": as_json(tasks), **files}, "w:"))
    plan = transfer.plan(wb_duckdb, trainer, theme.id, source, Options())
    assert (plan.format, plan.labels) == ("labelstudio", {"cat": 1, "dog": 1})
    assert [conflict.name for conflict in plan.conflicts] == ["3.png"]
    assert [problem.name for problem in plan.problems] == [
        "/data/upload/3/5.png", "/data/upload/../../etc/passwd", "export.json: 7",
    ]  # fmt: skip
    imported(wb_duckdb, trainer, theme, source)
    assert state(wb_duckdb, theme) == {
        "1.png": ("cat", None),
        "in/2 b.png": ("dog", None),
        "3.png": (None, None),
        "4.png": (None, None),
    }


def test_imagefolder_by_metadata_or_by_folders(
    wb_duckdb: Workbench, theme: themes.Theme, trainer: auth.User, tmp_path: Path
) -> None:
    files = {
        "train/metadata.csv": b"file_name,label\n1.png,cat\nsub/2.png,dog\n",
        "train/1.png": png(1),
        "train/sub/2.png": png(2),
        "test/metadata.jsonl": b'{"file_name": "1.png", "text": "cat"}\n\n{"file_name": "3.png", "text": null}\n',
        "test/1.png": png(4),
        "test/3.png": png(3),
    }
    source = put(tmp_path, "hf.zip", zipped(files))
    assert transfer.plan(wb_duckdb, trainer, theme.id, source, Options()).format == "imagefolder"
    imported(wb_duckdb, trainer, theme, source)
    assert state(wb_duckdb, theme) == {
        "train/1.png": ("cat", "train"),
        "train/sub/2.png": ("dog", "train"),
        "test/1.png": ("cat", "test"),
        "test/3.png": (None, "test"),
    }
    plain = put(tmp_path, "plain.zip", zipped({"validation/dog/5.png": png(5)}))
    imported(wb_duckdb, trainer, theme, plain, Options(format="imagefolder"))
    assert state(wb_duckdb, theme)["validation/dog/5.png"] == ("dog", "valid")


def test_the_same_bytes_under_two_labels_come_without_one(
    wb_duckdb: Workbench, theme: themes.Theme, trainer: auth.User, tmp_path: Path
) -> None:
    files = {"train/cat/1.png": png(1), "test/dog/1.png": png(1), "test/cat/again.png": png(1)}
    source = put(tmp_path, "a.zip", zipped(files))
    plan = transfer.plan(wb_duckdb, trainer, theme.id, source, Options())
    assert (plan.images, plan.new, plan.known, plan.labels, plan.splits) == (3, 1, 2, {}, {})
    assert [conflict.name for conflict in plan.conflicts] == ["test/dog/1.png", "test/dog/1.png"]
    imported(wb_duckdb, trainer, theme, source)
    assert state(wb_duckdb, theme) == {"train/cat/1.png": (None, None)}


def as_json(content: object) -> bytes:
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    ("name", "data", "format", "sentence"),
    [
        ("a.csv", b"colour,size\nred,3\n", None, "neither images nor a list"),
        ("a.csv", b"colour,size\nred,3\n", "manifest", "holds no manifest"),
        ("a.csv", b"", None, "neither images nor a list"),
        ("a.csv", b"image,label\nx.png,a,b\n", None, "more fields than columns in row 1"),
        ("a.csv", "image,label\nä.png,ü\n".encode("latin-1"), "manifest", "holds no manifest"),
        ("a.json", b'{"images": [', None, "damaged or not in its format"),
        ("a.json", b"[" * 100_000, None, "damaged or not in its format"),
        ("a.json", b"{}", "coco", "holds no COCO file"),
        ("a.json", b"[]", "labelstudio", "holds no Label Studio export"),
        ("a.parquet", b"PAR1 and no more", None, "neither images nor a list"),
        ("a.zip", b"PK\x03\x04 and no more", None, "damaged or cut short"),
        ("a.csv", b"image\n1.png\n", "yolo", "is not one of: folders, manifest"),
    ],
)
def test_a_source_that_says_nothing_is_refused(
    wb_duckdb: Workbench,
    theme: themes.Theme,
    trainer: auth.User,
    tmp_path: Path,
    name: str,
    data: bytes,
    format: str | None,
    sentence: str,
) -> None:
    source = put(tmp_path, name, data)
    with pytest.raises(InvalidInput, match=sentence):
        transfer.plan(wb_duckdb, trainer, theme.id, source, Options(format))
    failed = imported(wb_duckdb, trainer, theme, source, Options(format))
    assert failed.status == "failed"
    assert failed.error is not None and sentence in failed.error


def test_nothing_outside_the_roots_is_read(
    wb_duckdb: Workbench, theme: themes.Theme, trainer: auth.User, tmp_path: Path
) -> None:
    secret = put(tmp_path, "secret/1.png", png(1))
    allowed = put(tmp_path, "open/elsewhere/2.png", png(2))
    given = tmp_path / "open/given"
    put(given, "cat/3.png", png(3))
    (given / "cat/link.png").symlink_to(secret)
    (given / "inner.png").symlink_to(allowed)
    (given / "folder").symlink_to(secret.parent)
    lines = [secret, allowed, f"file://{secret}", f"file://{allowed}", "../elsewhere/2.png", "cat/link.png"]
    manifest = put(tmp_path, "list.csv", "\n".join(["image", *map(str, lines)]).encode())
    with pytest.raises(InvalidInput, match="No folder of the server is open"):
        transfer.plan(wb_duckdb, trainer, theme.id, given, Options())
    roots = (tmp_path.resolve() / "open",)
    wb = replace(wb_duckdb, settings=replace(wb_duckdb.settings, import_roots=roots))
    with pytest.raises(InvalidInput, match="outside the folders"):
        transfer.start(wb, trainer, theme.id, secret.parent, Options())
    plan = transfer.plan(wb, trainer, theme.id, given, Options())
    assert plan.images == 2
    assert {problem.name for problem in plan.problems} == {"cat/link.png", "folder"}
    plan = transfer.plan(wb, trainer, theme.id, manifest, Options())
    assert (plan.images, plan.new, plan.problems_total) == (2, 1, 4)
    assert all("outside" in problem.reason for problem in plan.problems[:2])
    assert imported(wb, trainer, theme, manifest).added == 1


def test_a_damaged_image_is_named_and_the_rest_comes(
    wb_duckdb: Workbench, theme: themes.Theme, trainer: auth.User, tmp_path: Path
) -> None:
    noise = png(1, (200, 200))
    files = {"cat/torn.png": noise[: len(noise) // 2], "cat/2.png": png(2), "cat/empty.png": b""}
    done = imported(wb_duckdb, trainer, theme, put(tmp_path, "a.zip", zipped(files)))
    assert (done.status, done.added, done.refused, done.done, done.total) == ("done", 1, 2, 2, 2)
    assert [name for name, _ in done.refusals] == ["cat/empty.png", "cat/torn.png"]


def test_stop_and_resume_add_everything_once(
    wb: Workbench, theme: themes.Theme, trainer: auth.User, viewer: auth.User, tmp_path: Path
) -> None:
    files = {f"cat/{n}.png": png(n, (8, 8)) for n in range(1200)}
    source = put(tmp_path, "many.zip", zipped(files))
    started = transfer.start(wb, trainer, theme.id, source, Options(), "many.zip")
    while (midway := transfer.get(wb, started.id)).eta_s is None:
        assert midway.status == "running"
        time.sleep(0.01)
    assert midway.eta_s > 0
    with pytest.raises(Conflict, match="only a stopped"):
        transfer.resume(wb, trainer, started.id)
    with pytest.raises(NotAllowed):
        transfer.stop(wb, viewer, started.id)
    transfer.stop(wb, trainer, started.id)
    stopped = ended(wb, started)
    assert stopped.status == "stopped"
    assert 0 < stopped.added == images.statistics(wb, theme.id).total < 1200
    with pytest.raises(NotAllowed):
        transfer.resume(wb, viewer, started.id)
    source.unlink()
    transfer.resume(wb, trainer, started.id)
    done = ended(wb, started)
    assert (done.status, done.added, done.labelled, done.done, done.known) == ("done", 1200, 1200, 1200, 0)
    counts = images.statistics(wb, theme.id)
    assert (counts.total, counts.labelled) == (1200, 1200)
    with pytest.raises(Conflict, match="is done"):
        transfer.resume(wb, trainer, started.id)


def test_an_import_whose_process_was_killed_can_be_resumed(
    wb: Workbench, theme: themes.Theme, trainer: auth.User, tmp_path: Path
) -> None:
    with pytest.raises(NotFound):
        transfer.get(wb, 1)
    folder = wb.settings.data_dir / "imports"
    done = imported(wb, trainer, theme, put(tmp_path, "a.zip", zipped({"cat/1.png": png(1)})))
    assert wait_until(lambda: not (folder / str(done.id)).exists(), 10), "the copy goes once it is done"
    # What a kill after the first batch leaves: the row still says running, the copy is there.
    put(folder / str(done.id), "source", zipped({"cat/1.png": png(1), "dog/2.png": png(2)}))
    with wb.db.engine.begin() as connection:
        connection.execute(imports.update().values(status="running"))
    assert transfer.get(wb, done.id).status == "stopped"
    transfer.resume(wb, trainer, done.id)
    resumed = ended(wb, done)
    assert (resumed.status, resumed.added, resumed.total, resumed.known) == ("done", 2, 2, 0)


VALUE = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.text(strategies.characters(codec=None), max_size=6)
    | strategies.sampled_from(
        ["1.png", "http://[", "file:///etc/passwd", "/data/upload/1.png", "s3://b/1.png"]
    ),
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(
            strategies.sampled_from(["id", "name", "image", "choices"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)


def record(*keys: str) -> strategies.SearchStrategy[dict[str, object]]:
    return strategies.fixed_dictionaries({}, optional=dict.fromkeys(keys, VALUE))


COCO = strategies.fixed_dictionaries(
    {
        "images": strategies.lists(record("id", "file_name", "coco_url"), max_size=3) | VALUE,
        "annotations": strategies.lists(record("image_id", "category_id"), max_size=3) | VALUE,
        "categories": strategies.lists(record("id", "name"), max_size=3) | VALUE,
    }
)
RESULT = strategies.fixed_dictionaries(
    {"type": strategies.just("choices"), "value": record("choices") | VALUE}
)
TASK = strategies.fixed_dictionaries(
    {
        "data": record("image", "text") | VALUE,
        "annotations": strategies.lists(
            strategies.fixed_dictionaries({"result": strategies.lists(RESULT, max_size=2) | VALUE}),
            max_size=2,
        )
        | VALUE,
    }
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=COCO | strategies.lists(TASK | VALUE, max_size=3) | VALUE)
def test_no_list_breaks_the_dry_run(
    wb_duckdb: Workbench, theme: themes.Theme, trainer: auth.User, tmp_path: Path, content: object
) -> None:
    files = {"list.json": as_json(content), "1.png": png(1)}
    source = put(tmp_path, "a.zip", zipped(files))
    plan = transfer.plan(wb_duckdb, trainer, theme.id, source, Options())
    assert plan.images == plan.new + plan.known
    for note in (*(c.text for c in plan.conflicts), *(p.reason for p in plan.problems)):
        note.encode()


LINE = strategies.tuples(
    strategies.integers(0, 7),
    strategies.sampled_from([None, "cat", "Cat", "dog", "owl"]),
    strategies.sampled_from([None, "train", "val", "test"]),
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=strategies.lists(LINE, max_size=12), second=strategies.lists(LINE, max_size=12))
def test_the_dry_run_says_what_comes_and_a_second_time_adds_nothing(
    wb_duckdb: Workbench,
    trainer: auth.User,
    tmp_path: Path,
    first: list[tuple[int, str | None, str | None]],
    second: list[tuple[int, str | None, str | None]],
) -> None:
    store = themes.create(wb_duckdb, trainer, name=f"store {time.monotonic_ns()}")
    images.add(wb_duckdb, trainer, store.id, [(f"{seed}.png", png(seed)) for seed in range(8)])
    theme = themes.create(wb_duckdb, trainer, name=f"theme {time.monotonic_ns()}")
    for number, lines in enumerate((first, second, first, second)):
        rows = [f"{sha(seed)},{label or ''},{split or ''}" for seed, label, split in lines]
        source = put(tmp_path, "list.csv", "\n".join(["sha256,label,split", *rows]).encode())
        before = images.statistics(wb_duckdb, theme.id)
        plan = transfer.plan(wb_duckdb, trainer, theme.id, source, Options())
        assert images.statistics(wb_duckdb, theme.id) == before
        done = imported(wb_duckdb, trainer, theme, source)
        after = images.statistics(wb_duckdb, theme.id)
        assert done.error is None
        assert plan.images == len(lines) == done.total == done.done == done.added + done.known
        assert (plan.new, plan.known, plan.labelled) == (done.added, done.known, done.labelled)
        assert after.total - before.total == done.added
        assert after.labelled - before.labelled == done.labelled
        assert number < 2 or (done.added, done.labelled) == (0, 0)
    assert images.statistics(wb_duckdb, theme.id).total == len({seed for seed, _, _ in first + second})
