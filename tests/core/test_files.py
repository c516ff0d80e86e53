from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import uuid4

import pytest

from core.files import FileStore


@pytest.fixture(params=["folder", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    url = str(tmp_path / "files") if request.param == "folder" else f"memory://{uuid4().hex}/files"
    return FileStore(url, cache=tmp_path / "cache")


def test_what_is_put_is_found_under_its_hash(store: FileStore) -> None:
    key = store.put(b"abc", "images", "jpg")
    digest = hashlib.sha256(b"abc").hexdigest()
    assert key == f"images/{digest[:2]}/{digest}.jpg"
    assert store.put(b"abc", "images", "jpg") == key
    assert store.read(key) == b"abc"
    with store.open(key) as file:
        assert file.read() == b"abc"
    assert store.local_path(key).read_bytes() == b"abc"
    assert store.size(key) == 3


def test_a_file_of_the_machine_is_taken_in_and_a_whole_folder_goes(store: FileStore, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"abc" * 700_000)
    large = store.put_from(tmp_path / "large", "batches/7/answers", "parquet")
    assert large == store.put(b"abc" * 700_000, "batches/7/answers", "parquet")
    for key in ("batches/7/images/ab/x.png", "batches/70/images/ab/x.png"):
        store.write(key, b"x")
    assert store.local_path(large).read_bytes() == b"abc" * 700_000
    for _ in range(2):  # what is gone already is no error
        store.remove("batches/7")
    assert not store.exists(large) and not store.exists("batches/7/images/ab/x.png")
    with pytest.raises(FileNotFoundError):
        store.local_path(large).read_bytes()
    assert store.read("batches/70/images/ab/x.png") == b"x"


def test_what_is_not_there_is_said_to_be_missing(store: FileStore) -> None:
    assert not store.exists("images/ab/none.jpg")
    with pytest.raises(FileNotFoundError):
        store.read("images/ab/none.jpg")


def test_a_torn_file_is_written_again(store: FileStore) -> None:
    key = store.put(b"abc", "images", "jpg")
    store.write(key, b"a")
    assert store.put(b"abc", "images", "jpg") == key
    assert store.read(key) == b"abc"


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/passwd", "a//b", "", "a/.hidden", "a\0b"])
def test_a_name_never_becomes_a_path(store: FileStore, key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        store.read(key)
