from __future__ import annotations

import pytest
from pictures import png

from core import auth, demo, images, snapshots, splits, themes
from core.errors import InvalidInput
from core.workbench import Workbench


@pytest.fixture
def theme(wb: Workbench, trainer: auth.User) -> themes.Theme:
    theme = themes.create(wb, trainer, name="Animals", labels=["dog", "cat", "unused"])
    files = [(f"{'cat' if seed % 2 else 'dog'}/{seed}.png", png(seed)) for seed in range(20)]
    images.add(wb, trainer, theme.id, [*files, ("unlabelled.png", png(99))], label_from_folder=True)
    return theme


def test_a_snapshot_holds_what_is_labelled_and_split(
    wb: Workbench, trainer: auth.User, theme: themes.Theme
) -> None:
    with pytest.raises(InvalidInput, match="both a label and a split"):
        snapshots.freeze(wb, trainer, theme.id)
    report = splits.split(wb, trainer, theme.id)
    made = snapshots.freeze(wb, trainer, theme.id)
    assert made.labels == ("dog", "cat")  # by position, not by name; the unused one has no image
    assert {split: sum(n.values()) for split, n in made.counts.items()} == report.dealt
    assert sum(report.dealt.values()) == 20
    rows = snapshots.read(wb, made).to_pylist()
    assert [row["image_id"] for row in rows] == sorted(row["image_id"] for row in rows) and len(rows) == 20
    image = images.find(wb, rows[0]["image_id"])
    assert rows[0] == {
        "image_id": image.id,
        "image_path": image.image_path,
        "sha256": image.sha256,
        "label_id": image.label_id,
        "label": "dog",
        "split": image.split,
        "width": 24,
        "height": 16,
    }


def test_the_hash_follows_the_content(wb: Workbench, trainer: auth.User, theme: themes.Theme) -> None:
    dog, cat, _ = theme.labels
    splits.split(wb, trainer, theme.id)
    first = snapshots.freeze(wb, trainer, theme.id)
    assert snapshots.freeze(wb, trainer, theme.id) == first == snapshots.get(wb, first.id)
    image = images.page(wb, theme.id, images.Filter(label=dog.id)).items[0]
    images.label(wb, trainer, theme.id, [(image.id, cat.id)])
    second = snapshots.freeze(wb, trainer, theme.id)
    assert (second.id, second.hash) != (first.id, first.hash)
    images.label(wb, trainer, theme.id, [(image.id, dog.id)])
    assert snapshots.freeze(wb, trainer, theme.id) == first
    themes.update_label(wb, trainer, theme.id, dog.id, name="hound")
    assert snapshots.freeze(wb, trainer, theme.id).hash != first.hash
    images.delete(wb, trainer, theme.id, [image.id])
    assert sum(sum(n.values()) for n in snapshots.freeze(wb, trainer, theme.id).counts.values()) == 19
    assert len(snapshots.read(wb, first)) == 20  # a snapshot never changes


def test_the_canonical_form_is_fixed() -> None:
    """The hash is a promise: it must not change with libraries or by accident."""
    from types import SimpleNamespace

    row = SimpleNamespace(
        image_id=1,
        image_path="images/ab/ab.png",
        sha256="ab",
        label_id=2,
        label="猫",
        split="train",
        width=3,
        height=4,
    )
    assert snapshots.content_hash(["猫"], [row]) == (  # type: ignore[list-item]
        "d08aa86300e2223ab830b55cea469e0b727ce3ca99fa895e548bce42dd96b810"
    )


def test_the_demonstration_is_made_once(wb_duckdb: Workbench, trainer: auth.User) -> None:
    theme = demo.load(wb_duckdb, trainer)
    counts = images.statistics(wb_duckdb, theme.id)
    assert (counts.total, counts.unlabelled, len(counts.by_label)) == (1797, 300, 10)
    assert (counts.by_split[None], counts.by_split["train"]) == (300, pytest.approx(1497 * 0.7, abs=5))
    assert demo.load(wb_duckdb, trainer).id == theme.id
    assert len(themes.cards(wb_duckdb)) == 1
    [newest] = images.page(wb_duckdb, theme.id, images.Filter(state="labelled"), limit=1).items
    [entry] = images.history(wb_duckdb, newest.id)
    assert entry.source == "demo" and newest.file_name.startswith(f"{entry.after}/")
