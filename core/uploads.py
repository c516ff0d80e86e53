"""Stored. What happens to files given to a theme: check, hash, thumbnail, store, rows in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import sqlalchemy as sa

from core import archives, audit, auth, images_io, incoming, labelling, themes
from core.archives import Member, Refusal
from core.db.engine import bulk_insert, next_ids
from core.db.tables import image_features, label_history, train_data
from core.errors import InvalidInput
from core.files import FileStore, content_key
from core.images_io import ImageInfo
from core.incoming import Source
from core.labels import create_missing_labels, label_name, labels_of
from core.quality import intake as quality
from core.workbench import Workbench

BATCH = 500
"""Rows of one transaction."""
LISTED = 1_000
"""Refusals and duplicates that a report names one by one; the rest it counts."""

SPLIT_FOLDERS = {
    "train": "train", "training": "train",
    "valid": "valid", "val": "valid", "validation": "valid", "dev": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Names of top folders that say a file's split."""


@dataclass
class UploadReport:
    """What became of the files of one upload."""

    added: int = 0
    labelled: int = 0
    """Of the added ones, how many got a label from their folder."""
    labels_created: list[str] = field(default_factory=list)
    duplicates: int = 0
    """Files whose bytes the theme has already; they were left out."""
    duplicate_names: list[str] = field(default_factory=list)
    """The first LISTED of them."""
    labelled_late: int = 0
    """Of them, how many had no label and got that of their folder."""
    contradicted: int = 0
    """Of them, how many lay in the folder of another label than the theme's image has, which it keeps."""
    contradicted_names: list[str] = field(default_factory=list)
    """The first LISTED of them."""
    refused: list[Refusal] = field(default_factory=list)
    """The first LISTED refusals."""
    refused_total: int = 0

    def refuse(self, refusal: Refusal) -> None:
        self.refused_total += 1
        if len(self.refused) < LISTED:
            self.refused.append(refusal)

    def duplicate(self, name: str) -> None:
        self.duplicates += 1
        if len(self.duplicate_names) < LISTED:
            self.duplicate_names.append(name)

    def contradict(self, name: str) -> None:
        self.contradicted += 1
        if len(self.contradicted_names) < LISTED:
            self.contradicted_names.append(name)


@dataclass(frozen=True)
class _Options:
    label_from_folder: bool
    split_from_folder: bool
    create_labels: bool
    source: str

    def places(self, stored: Stored) -> tuple[str | None, str | None]:
        """See `places_of`."""
        return places_of(stored.folders, label=self.label_from_folder, split=self.split_from_folder)


@dataclass(frozen=True)
class Stored:
    """A file that is in the store and waits for its row."""

    name: str
    folders: tuple[str, ...]
    info: ImageInfo
    key: str


def add(
    wb: Workbench,
    actor: auth.User,
    theme_id: int,
    items: Iterable[tuple[str, Source]],
    *,
    label_from_folder: bool = False,
    split_from_folder: bool = False,
    create_labels: bool = False,
    source: str = "upload",
) -> UploadReport:
    """Add image files, and the image files inside zip, tar and tar.gz archives, to a theme.

    `items` are (name, bytes, path or seekable binary file), taken one after the other; no
    more than incoming.PENDING_BYTES of them (and one file) are held at a time. A file that is not
    accepted is refused by name and the rest go on; every batch that was written stays.
    `label_from_folder` gives an image the label named like the last folder it lay in, also one that the theme
    has already and that has no label;
    `create_labels` (trainers only) makes the labels that are missing; `split_from_folder`
    reads train, valid and test from the folders above. Raises NotFound, NotAllowed.
    """
    auth.require(actor, auth.LABELER)
    if create_labels:
        auth.require(actor, auth.TRAINER)
    themes.get(wb, theme_id)
    options = _Options(label_from_folder, split_from_folder, create_labels, source)
    report = UploadReport()
    batch: list[Stored] = []

    def flush() -> None:
        if not batch:
            return
        names = [stored.name for stored in batch]
        result = wb.db.write(lambda connection: _insert(connection, actor, theme_id, batch, options))
        report.added += len(batch) - len(result.duplicates)
        report.labelled += result.labelled
        report.labelled_late += result.labelled_late
        report.labels_created += result.labels_created
        for index in result.duplicates:
            report.duplicate(names[index])
        for index in result.contradicted:
            report.contradict(names[index])
        batch.clear()
        quality.catch_up(wb, theme_id)

    failure: list[Exception] = []

    def until_failure() -> Iterator[Member | Refusal]:
        # What came before a failure of the source (a broken connection, a full disk) is still added.
        try:
            yield from incoming.read(items, archives.Limits.of(wb.settings))
        except Exception as error:
            failure.append(error)

    for outcome in decoded(wb.files, until_failure(), images_io.Limits.of(wb.settings)):
        if isinstance(outcome, Refusal):
            report.refuse(outcome)
            continue
        batch.append(outcome)
        if len(batch) >= BATCH:
            flush()
    flush()
    if report.added or report.labelled_late:
        detail = {
            "added": report.added,
            "duplicates": report.duplicates,
            "labelled_late": report.labelled_late,
            "refused": report.refused_total,
        }
        wb.db.write(lambda c: audit.record(c, actor, "image.upload", f"theme {theme_id}", detail))
    if failure:
        raise failure[0]
    return report


def decoded(
    files: FileStore, members: Iterator[Member | Refusal], limits: images_io.Limits
) -> Iterator[Stored | Refusal]:
    """Decode and store on all cores, in the order given."""
    return incoming.looked_at(members, lambda member: _store(files, member, limits))


def _store(files: FileStore, member: Member, limits: images_io.Limits) -> Stored | Refusal:
    try:
        info = images_io.inspect(member.data, limits, member.name)
    except InvalidInput as error:
        return Refusal(member.name, error)
    key = content_key(info.sha256, "images", info.extension)
    # The same bytes under the same name: what is there already need not be written again.
    if files.size(key) != info.size:
        files.write(key, member.data)
    for side, thumbnail in info.thumbnails.items():
        if files.size(thumbnail_key(info.sha256, side)) != len(thumbnail):
            files.write(thumbnail_key(info.sha256, side), thumbnail)
    return Stored(member.name, member.folders, info, key)


def thumbnail_key(sha256: str, side: int) -> str:
    """Where the thumbnail of the image with this hash lies; `side` is one of images_io.THUMBNAIL_SIDES."""
    return content_key(sha256, "thumbs", "webp", suffix=f"-{side}")


@dataclass(frozen=True)
class _Inserted:
    duplicates: list[int]  # positions in the batch
    contradicted: list[int]  # of them, those in the folder of another label
    labelled: int
    labelled_late: int
    labels_created: list[str]


def _insert(
    connection: sa.Connection, actor: auth.User, theme_id: int, batch: list[Stored], options: _Options
) -> _Inserted:
    themes.lock(connection, theme_id)
    have = _known(connection, theme_id, [stored.info.sha256 for stored in batch])
    fresh: dict[str, Stored] = {}
    duplicates: list[int] = []
    for index, stored in enumerate(batch):
        if stored.info.sha256 in have or stored.info.sha256 in fresh:
            duplicates.append(index)
        else:
            fresh[stored.info.sha256] = stored
    places = [options.places(stored) for stored in fresh.values()]
    folders = [folder for folder, _ in places]
    named = {sha256: known.label for sha256, known in have.items()} | dict(zip(fresh, folders, strict=True))
    said = {index: folder for index in duplicates if (folder := options.places(batch[index])[0])}
    contradicted = {
        index: folder
        for index, folder in said.items()
        if (kept := named[batch[index].info.sha256]) and folder.casefold() != kept.casefold()
    }
    twice = [folder for index, folder in contradicted.items() if batch[index].info.sha256 in fresh]
    late: dict[int, str] = {}
    for index, folder in said.items():
        known = have.get(batch[index].info.sha256)
        if known is not None and known.label_id is None:
            late.setdefault(known.image_id, folder)
    by_name, created = _labels(connection, theme_id, [*folders, *twice, *late.values()], options)
    # A folder that is no label says nothing against one.
    contradicted = {index: folder for index, folder in contradicted.items() if folder.casefold() in by_name}
    label_ids = [by_name.get(folder.casefold()) if folder else None for folder in folders]
    now = datetime.now(UTC)
    ids = next_ids(connection, "train_data_id_seq", len(fresh)) if fresh else []
    bulk_insert(
        connection,
        train_data,
        [
            {
                "id": image_id,
                "theme_id": theme_id,
                "image_path": stored.key,
                "file_name": stored.name,
                "sha256": stored.info.sha256,
                "phash": stored.info.phash,
                "format": stored.info.format,
                "width": stored.info.width,
                "height": stored.info.height,
                "size": stored.info.size,
                "label_id": label_id,
                "split": split,
                "labeled_by": None if label_id is None else actor.id,
                "labeled_at": None if label_id is None else now,
                "uploaded_by": actor.id,
                "created_at": now,
                "updated_at": now,
            }
            for image_id, stored, label_id, (_, split) in zip(
                ids, fresh.values(), label_ids, places, strict=True
            )
        ],
    )
    bulk_insert(
        connection,
        image_features,
        [
            {
                "image_id": image_id,
                "theme_id": theme_id,
                "look": stored.info.look,
                **stored.info.measures.as_row(),
            }
            for image_id, stored in zip(ids, fresh.values(), strict=True)
        ],
    )
    history = [
        {
            "theme_id": theme_id,
            "image_id": image_id,
            "at": now,
            "user_id": actor.id,
            "from_label_id": None,
            "to_label_id": label_id,
            "source": options.source,
        }
        for image_id, label_id in zip(ids, label_ids, strict=True)
        if label_id is not None
    ]
    bulk_insert(connection, label_history, history)
    quality.take_in(connection, theme_id, ids)
    have |= {
        sha256: _Known(image_id, label_id, folder)
        for sha256, image_id, label_id, folder in zip(fresh, ids, label_ids, folders, strict=True)
    }
    quality.contradict(
        connection,
        theme_id,
        [
            (known.image_id, known.label_id, by_name[folder.casefold()])
            for index, folder in contradicted.items()
            if (known := have[batch[index].info.sha256]).label_id is not None
        ],
    )
    wanted: dict[int, int | None] = {
        image_id: by_name[folder.casefold()]
        for image_id, folder in late.items()
        if folder.casefold() in by_name
    }
    labelled_late = labelling.relabel(connection, actor, theme_id, wanted, options.source) if wanted else 0
    return _Inserted(duplicates, list(contradicted), len(history), labelled_late, created)


@dataclass(frozen=True)
class _Known:
    """An image that the theme has."""

    image_id: int
    label_id: int | None
    label: str | None


def _known(connection: sa.Connection, theme_id: int, hashes: list[str]) -> dict[str, _Known]:
    """By the hashes that the theme has."""
    query = sa.text(
        "SELECT t.sha256, t.id, t.label_id, l.name FROM train_data t LEFT JOIN labels l ON l.id = t.label_id"
        " WHERE t.theme_id = :theme AND t.deleted_at IS NULL"
        " AND t.sha256 IN (SELECT unnest(CAST(:hashes AS VARCHAR[])))"
    )
    found = connection.execute(query, {"theme": theme_id, "hashes": hashes})
    return {sha256: _Known(*known) for sha256, *known in found}


def places_of(folders: tuple[str, ...], *, label: bool, split: bool) -> tuple[str | None, str | None]:
    """(name of the folder that says the label, split) of a file that lay in `folders`."""
    rest = list(folders)
    part = None
    if split:
        for index, folder in enumerate(rest):
            if folder.casefold() in SPLIT_FOLDERS:
                part = SPLIT_FOLDERS[rest.pop(index).casefold()]
                break
    if not label or not rest:
        return None, part
    try:
        return label_name(rest[-1]), part
    except InvalidInput:  # a folder whose name cannot be a label's says nothing
        return None, part


def _labels(
    connection: sa.Connection, theme_id: int, folders: list[str | None], options: _Options
) -> tuple[dict[str, int], list[str]]:
    """Ids of the theme's labels by folded name, and the names of those created for these folders now."""
    if not options.label_from_folder:
        return {}, []
    wanted = [folder for folder in folders if folder]
    before = labels_of(connection, theme_id)
    after = list(before)
    if wanted and options.create_labels:
        after = create_missing_labels(connection, theme_id, wanted)
    return {label.name.casefold(): label.id for label in after}, [x.name for x in after[len(before) :]]
