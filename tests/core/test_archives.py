from __future__ import annotations

import io
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import png, tarred, zipped

from core.archives import FREE_BYTES, Limits, Member, Refusal, kind_of, members, split_name
from core.errors import InvalidInput

LIMITS = Limits(max_file_bytes=1_000_000, max_total_bytes=500_000_000, max_files=1_000)


def read(data: bytes, limits: Limits = LIMITS) -> tuple[list[Member], list[str]]:
    found = list(members(io.BytesIO(data), "pack", len(data), limits))
    return (
        [m for m in found if isinstance(m, Member)],
        [m.reason for m in found if isinstance(m, Refusal)],
    )


def tar_of(*infos: tarfile.TarInfo, end: bool = True) -> bytes:
    data = b"".join(info.tobuf() for info in infos)
    return data + bytes(1024) if end else data


@pytest.mark.parametrize("pack", [zipped, tarred, lambda files: tarred(files, "w")])
def test_files_come_with_names_and_folders(pack) -> None:  # type: ignore[no-untyped-def]
    files = {"./train/cat/1.png": png(1), "b.png": png(2), "__MACOSX/b.png": b"x", "a/.DS_Store": b"x"}
    found, refused = read(pack(files))
    assert [(m.name, m.folders) for m in found] == [("train/cat/1.png", ("train", "cat")), ("b.png", ())]
    assert [m.data for m in found] == [png(1), png(2)]
    assert refused == []


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize(
    "name", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "C:/evil.png", "..\\evil.png"]
)
def test_a_name_that_points_outside_is_refused_and_the_rest_go_on(pack, name: str) -> None:  # type: ignore[no-untyped-def]
    found, refused = read(pack({name: png(1), "good.png": png(2)}))
    assert [m.name for m in found] == ["good.png"]
    assert len(refused) == 1 and "points outside its folder" in refused[0] and "evil.png" in refused[0]


@pytest.mark.parametrize(
    "type_", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE]
)
def test_links_and_devices_in_a_tar_are_refused(type_: bytes) -> None:
    info = tarfile.TarInfo("link.png")
    info.type, info.linkname = type_, "/etc/passwd"
    found, refused = read(tar_of(info))
    assert found == [] and refused == ["“link.png” is a link or a device, not a file."]


def test_a_link_in_a_zip_is_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("link.png")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert read(out.getvalue()) == ([], ["“link.png” is a link or a device, not a file."])


def test_archives_inside_are_refused_by_name() -> None:
    found, refused = read(zipped({"inner.zip": zipped({"a.png": png(1)}), "a.png": png(1)}))
    assert [m.name for m in found] == ["a.png"]
    assert refused == ["“inner.zip” is an archive inside an archive; unpack it and upload its files."]


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_bomb_stops_early_and_what_came_before_stands(pack) -> None:  # type: ignore[no-untyped-def]
    limits = Limits(max_file_bytes=FREE_BYTES, max_total_bytes=10 * FREE_BYTES, max_files=1_000)
    zeros = bytes(FREE_BYTES // 2)
    found, refused = read(pack({"a.png": png(1), **{f"{i}.png": zeros for i in range(4)}}), limits)
    assert found[0].name == "a.png" and len(found) < 4
    assert len(refused) == 1 and "200 times its size" in refused[0]


def test_a_file_larger_than_the_limit_is_refused_without_unpacking_it() -> None:
    for pack in (zipped, tarred):
        found, refused = read(pack({"big.png": bytes(2_000_000), "a.png": png(1)}))
        assert [m.name for m in found] == ["a.png"]
        assert len(refused) == 1 and refused[0].startswith("“big.png” is larger than")


def test_total_size_and_number_are_limited() -> None:
    files = {f"{i}.png": png(i) for i in range(30)}
    for pack in (zipped, tarred):
        _, refused = read(pack(files), Limits(1_000_000, 4_000, 1_000))
        assert len(refused) == 1 and "unpacks to more than" in refused[0]
        _, refused = read(pack(files), Limits(1_000_000, 4_000_000, 10))
        assert len(refused) == 1 and "more than 10 files" in refused[0]


def test_a_header_that_claims_gigabytes_is_not_believed() -> None:
    name = tarfile.TarInfo("@LongLink")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 8_000_000_000
    assert read(tar_of(name))[1] == [
        "“pack” is damaged or cut short; what could be read before that was kept."
    ]


@pytest.mark.parametrize("pack", [zipped, tarred, lambda files: tarred(files, "w")])
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.95])
def test_a_truncated_archive_says_so(pack, keep: float) -> None:  # type: ignore[no-untyped-def]
    data = pack({f"{i}.png": png(i, (300, 200)) for i in range(20)})
    _, refused = read(data[: int(len(data) * keep)])
    assert refused[-1] == "“pack” is damaged or cut short; what could be read before that was kept."


def test_a_locked_zip_and_other_archives_are_refused() -> None:
    locked = bytearray(zipped({"a.png": png(1)}, zipfile.ZIP_STORED))
    locked[6] |= 1
    locked[locked.rfind(b"PK\x01\x02") + 8] |= 1
    assert "password" in read(bytes(locked))[1][0]
    assert "zip, tar or tar.gz" in read(b"7z\xbc\xaf\x27\x1c" + bytes(600))[1][0]


def test_a_nul_in_a_name_is_refused() -> None:
    data = zipped({"aXb.png": png(1)}).replace(b"aXb.png", b"a\0b.png")
    assert read(data) == ([], ["“a?b.png” has a control character in its name; rename the file."])


def test_long_and_odd_names_are_kept_for_people() -> None:
    name, folders = split_name("fotos/" + "😀" * 300 + ".png")
    assert (
        len(name) == 200 and name.startswith("fotos/😀") and name.endswith("😀.png") and folders == ("fotos",)
    )
    assert split_name("café.png") == split_name("cafe\u0301.png")
    with pytest.raises(InvalidInput):
        split_name("a\0b.png")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_anywhere_never_raises(data: st.DataObject) -> None:
    pack = data.draw(st.sampled_from([zipped, tarred, lambda files: tarred(files, "w")]))
    packed = bytearray(pack({"a.png": png(1), "b/c.png": png(2)}))
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    if kind_of(bytes(packed[:512])) is not None:
        read(bytes(packed))
