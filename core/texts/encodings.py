"""Pure. In which encoding a file of text is written."""

from __future__ import annotations

import codecs
import re
from typing import IO

import charset_normalizer

from core.errors import InvalidInput
from core.texts.tables import shown

CHUNK = 1 << 20
SAMPLE = 1 << 16
"""Bytes that are looked at where the encoding must be guessed."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""UTF-32 first: its little-endian mark begins with the one of UTF-16."""
_LEGACY = ["cp932", "cp949", "euc_jp", "gb18030", "big5", "cp1252"]
"""What spreadsheets here write when they do not write Unicode; EUC-KR is a part of CP949."""
_NOT_ASCII_LINE = re.compile(rb"[^\n]*[\x80-\xff][^\n]*\n?")


def sniff(file: IO[bytes], name: str) -> tuple[str, bool]:
    """Python's name of the encoding of `file`, which is left at its beginning, and: surely all of it.

    A byte order mark decides; else UTF-16 by its pattern of zeros; else UTF-8 where nearly all of the
    file is valid UTF-8; else the best guess of charset-normalizer among the East Asian code pages and
    Windows' western one. Raises InvalidInput for what is not text.
    """
    head = file.read(SAMPLE)
    file.seek(0)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding, False
    by_zeros = _by_zeros(head)
    if by_zeros:
        return by_zeros, False
    if head.count(0) * 50 > len(head) + 500:
        raise _not_text(name)
    if b"\x1b$" in head and head.isascii():
        return "iso2022_jp", False
    sample = _beyond_utf8(file)
    file.seek(0)
    if sample is None:
        return "utf-8", True
    if _nearly_utf8(sample):
        return "utf-8", False
    match = charset_normalizer.from_bytes(sample, cp_isolation=_LEGACY).best()
    if match is None:
        raise _not_text(name)
    return match.encoding, False


def _beyond_utf8(file: IO[bytes]) -> bytes | None:
    """Lines around the first bytes that are not UTF-8; None where all of the file is UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    while chunk := file.read(CHUNK):
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError:
            return b"".join(_NOT_ASCII_LINE.findall(chunk))[:SAMPLE] or chunk[:SAMPLE]
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        file.seek(0)
        return file.read(SAMPLE)
    return None


def _nearly_utf8(sample: bytes) -> bool:
    """A few bytes were damaged. Text of another encoding loses most of its letters instead."""
    letters = [c for c in sample.decode("utf-8", "replace") if c > "\x7f"]
    return letters.count("\ufffd") * 4 < len(letters)


def _by_zeros(head: bytes) -> str:
    """UTF-16 without a mark: most of ASCII's every second byte is zero."""
    if len(head) < 4 or len(head) % 2:
        return ""
    even, odd = head[0::2], head[1::2]
    zeros_even, zeros_odd = even.count(0) / len(even), odd.count(0) / len(odd)
    if zeros_odd > 0.2 and zeros_even < 0.01:
        return "utf-16-le"
    if zeros_even > 0.2 and zeros_odd < 0.01:
        return "utf-16-be"
    return ""


def _not_text(name: str) -> InvalidInput:
    return InvalidInput(
        "“{name}” is not text in an encoding that is known here; save it as UTF-8.", name=shown(name)
    )
