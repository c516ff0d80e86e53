"""What a second check costs, as the whole job runs it: nothing new, and 1 % more of images or rows.

    python -m benchmarks.second_check --data FOLDER       # cifar10-8k.tar.gz and enja/ in it, or a file in it

Every run is a process of its own that does what the worker does, from the files that it is given to those
that it leaves; the broker is away. Prints a table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import multiprocessing
import random
import resource
import tarfile
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.image_quality import LIMITS
from core.events import Event, Type
from core.files import FileStore, content_key
from core.images_io import inspect
from core.quality.check_files import MANIFEST
from core.quality.texts.rules import Rules
from core.settings import Settings
from core.spec import CheckSpec, TextCheckSpec
from core.texts import rowfile
from core.texts.records import Record
from core.texts.rowfile import DataRow
from core.uploads import thumbnail_key

ROWS, PAIRS = 100_000, 10_000
MORE = 0.01
COPIED = 0.02
"""Of the rows, copies of earlier ones with a word changed."""
FOREIGN = 0.02
NO_BROKER = "redis://127.0.0.1:1/0"
Found = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder that holds cifar10-8k.tar.gz and enja/"
    )
    data = parser.parse_args().data
    data = data if data.is_dir() else data.parent  # `make bench` names one file for all
    figures: Found = {"benchmark": "second_check"}
    print(f"{'what':48} {'first':>9} {'again':>9} {'1 % more':>9} {'share':>7}  target")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_env(
            {
                "VERITRAIN_DATA_DIR": f"{folder}/data",
                "VERITRAIN_ARTIFACTS_DIR": f"{folder}/artifacts",
                "REDIS_URL": NO_BROKER,
            }
        )
        figures |= of_images(settings, data / "cifar10-8k.tar.gz")
        figures |= of_texts(settings, data / "enja", "alpaca", ROWS)
        figures |= of_texts(settings, data / "enja", "parallel", PAIRS)
    print(json.dumps(figures))


def of_images(settings: Settings, archive: Path) -> Found:
    files = FileStore(settings.files_url)
    pictures = labelled(archive)
    with ThreadPoolExecutor() as pool:
        rows = list(pool.map(lambda each: stored(files, *each), enumerate(pictures, start=1)))
    few = rows[: -int(len(rows) * MORE)]
    last: Found = {}
    runs = []
    for run_id, some in enumerate((few, few, rows), start=1):
        out = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(some, schema=MANIFEST), out, compression="zstd")
        spec = CheckSpec(
            run_id=run_id,
            kind="check",
            theme_id=1,
            manifest=files.put(out.getvalue(), "checks", "parquet"),
            views=last.get("views"),
            judged=last.get("judged"),
            map=last.get("map"),
            twins=last.get("twins"),
            max_file_bytes=LIMITS.max_file_bytes,
            max_pixels=LIMITS.max_pixels,
            code=None,
            created_by="benchmark",
        )
        last, seconds, peak = in_a_process("check", spec, settings)
        runs.append((seconds, peak))
    return told(f"{len(rows):,} CIFAR images, labels, sides, map", "images", runs)


def labelled(archive: Path) -> list[tuple[bytes, int]]:
    """(file, label from 1) of each picture, in an order drawn by chance."""
    with tarfile.open(archive) as opened:
        found = [
            (opened.extractfile(each).read(), Path(each.name).parent.name)  # type: ignore[union-attr]
            for each in opened
            if each.isfile()
        ]
    number = {name: n for n, name in enumerate(sorted({name for _, name in found}), start=1)}
    random.Random(0).shuffle(found)
    return [(data, number[name]) for data, name in found]


def stored(files: FileStore, image_id: int, picture: tuple[bytes, int]) -> Found:
    """A row of the manifest; the file and its thumbnails lie in the store as after an upload."""
    data, label = picture
    info = inspect(data, LIMITS, "picture")
    path = content_key(info.sha256, "images", info.extension)
    files.write(path, data)
    for side, thumbnail in info.thumbnails.items():
        files.write(thumbnail_key(info.sha256, side), thumbnail)
    return {
        "image_id": image_id, "image_path": path, "sha256": info.sha256, "size": info.size,
        "label_id": label, "vector": info.look, "measured": True, "learnt": None,
    }  # fmt: skip


def of_texts(settings: Settings, folder: Path, shape: str, count: int) -> Found:
    files = FileStore(settings.files_url)
    rows = examples(folder, shape, count)
    few = rows[: -int(len(rows) * MORE)]
    before: tuple[str, str] | None = None
    learnt: str | None = None
    runs = []
    for run_id, some in enumerate((few, few, rows), start=11 if shape == "alpaca" else 21):
        spec = TextCheckSpec(
            run_id=run_id,
            kind="text-check",
            dataset_id=1,
            version_id=run_id,
            rows=files.put(rowfile.packed(rowfile.table(some)), "texts", "parquet"),
            shape=shape,
            rules=Rules().model_dump(),
            before=before,
            learnt=learnt,
            code=None,
            created_by="benchmark",
        )
        last, seconds, peak = in_a_process("check_texts", spec, settings)
        before, learnt = (last["findings"], last["seen"]), last["learnt"]
        runs.append((seconds, peak))
    return told(f"{len(rows):,} rows of texts, {shape}", f"texts_{shape}", runs)


def examples(folder: Path, shape: str, count: int) -> list[DataRow]:
    """Sentences of everyday English and Japanese drawn by chance, dealt to train, valid and test.

    Instructions and answers are about as long as Alpaca's: 70 and 270 characters.
    """
    rng = random.Random(0)
    english, japanese = ((folder / f"train.{side}").read_text("utf-8").splitlines() for side in ("en", "ja"))
    rows: list[DataRow] = []
    for row_id in range(1, count + 1):
        split = rng.choices(("train", "valid", "test"), (8, 1, 1))[0]
        if rows and rng.random() < COPIED:
            old = rng.choice(rows)
            rows.append(replace(old, row_id=row_id, split=split))
            continue
        if shape == "parallel":
            pair = rng.choices(range(len(english)), k=2)
            source = " ".join(english[n] for n in pair)
            record = Record.pair(source, "".join(japanese[n].replace(" ", "") for n in pair), line=row_id)
        else:
            some = (japanese, "") if rng.random() < FOREIGN else (english, " ")
            record = Record.pair(_some(rng, *some, 3), _some(rng, *some, 15), line=row_id)
        rows.append(DataRow(row_id, record, split))
    return rows


def _some(rng: random.Random, lines: Sequence[str], between: str, most: int) -> str:
    """Sentences, the words of each in an order drawn by chance: else many rows would share runs of them."""
    words = (line.split(" ") for line in rng.choices(lines, k=rng.randint(1, most)))
    return " ".join(between.join(rng.sample(of, len(of))) for of in words)


def in_a_process(
    kind: str, spec: CheckSpec | TextCheckSpec, settings: Settings
) -> tuple[Found, float, float]:
    """(what the job's result says, seconds, MiB at the peak). Raises RuntimeError where the job fails."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(kind, spec, settings, theirs))
    process.start()
    theirs.close()
    seconds, peak = ours.recv()
    process.join()
    events = settings.artifacts_dir / "runs" / str(spec.run_id) / "events.jsonl"
    results = [
        event.payload
        for event in map(Event.from_json, events.read_bytes().splitlines())
        if event.type == Type.RESULT
    ]
    if not results:
        raise RuntimeError(f"the job {kind} left no result")
    return results[0], seconds, peak


def _run(kind: str, spec: Any, settings: Settings, answer: Any) -> None:
    importlib.import_module("jobs.worker").load_shared(
        ["light"]
    )  # a worker has that before it forks for the job
    began = time.perf_counter()
    main = importlib.import_module(f"jobs.{kind}").main
    from jobs.runtime import Job

    with Job(spec, 1, settings) as job:
        main(job, spec)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answer.send((time.perf_counter() - began, peak))


def told(what: str, name: str, runs: Sequence[tuple[float, float]]) -> Found:
    (first, _), (again, _), (more, _) = runs
    peaks = "/".join(f"{peak:,.0f}" for _, peak in runs)
    print(f"{what:48} {first:7.1f} s {again:7.2f} s {more:7.2f} s {more / first * 100:5.1f} %  ≤ 5 %")
    print(f"{'  peak of memory':48} {peaks} MiB")
    return {
        f"{name}_first_s": round(first, 1),
        f"{name}_again_s": round(again, 2),
        f"{name}_more_s": round(more, 2),
        f"{name}_share": round(more / first, 4),
        f"{name}_peak_mib": [round(peak) for _, peak in runs],
    }


if __name__ == "__main__":
    main()
