"""Pure. Numbers that point at a person: judged by checksum, structure and the words before them."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Callable, Iterator

import phonenumbers

Found = tuple[int, int, str]
"""Start, end, kind."""

NEAR = 30
"""Characters before a number in which a word says what it is."""

_OTHER = re.compile(
    r"order|track|invoice|ticket|serial|isbn|issn|part n|part-n|\bsku|model|reference|\bref\b|case n|receipt|lot n|parcel"
    r"|version|\bver\b|\bv\.?\s*$|build|release|firmware|section|chapter|clause|§"
    r"|注文|受注|伝票|送り状|追跡|問い合わせ番号|型番|品番|製造番号|シリアル|管理番号|整理番号|受付番号|商品コード"
    r"|バージョン|ビルド|リリース|第\s*$|章|節"
    r"|주문|송장|운송장|접수번호|일련번호|시리얼|모델|상품\s*코드|관리번호|참조번호|버전|빌드|릴리스|제\s*$|절|조항",
    re.IGNORECASE,
)
_OF_KIND = {
    "resident-number": re.compile(
        r"주민|외국인\s*등록|resident|registration|\brrn\b|住民登録", re.IGNORECASE
    ),
    "my-number": re.compile(r"マイナンバー|個人番号|my\s*number|individual number|마이넘버", re.IGNORECASE),
    "phone": re.compile(
        r"\btel|phone|mobile|cell|\bcall|contact|fax|whatsapp|電話|携帯|連絡|ファックス|전화|휴대|연락|핸드폰|팩스|번호는",
        re.IGNORECASE,
    ),
    "card": re.compile(r"card|visa|master|amex|jcb|カード|카드", re.IGNORECASE),
    "ip": re.compile(r"\bip|address|host|server|アドレス|サーバ|서버|주소|아이피", re.IGNORECASE),
}


def _before(text: str, start: int) -> str:
    """The words before, of the same text and line, back to an earlier number: words before it are about that."""
    near = text[max(0, start - NEAR) : start]
    return near[max((match.end() for match in _BOUND.finditer(near)), default=0) :]


_BOUND = re.compile(r"[\0\n0-9]")


def _meant(text: str, start: int, kind: str) -> bool | None:
    """True where the words before name this kind, False where they name another thing, else None.

    The word that stands nearer counts.
    """
    near = _before(text, start)
    own = max((match.end() for match in _OF_KIND[kind].finditer(near)), default=-1)
    other = max((match.end() for match in _OTHER.finditer(near)), default=-1)
    return None if own == other == -1 else own > other


_REGION = re.compile(r"[+(0-9][0-9+() .\-]{5,}[0-9]")
"""Where numbers with at least seven characters may stand; the patterns below look at these places only."""

_RESIDENT = re.compile(r"(?<![0-9])([0-9]{6})( ?- ?|)([1-8][0-9]{6})(?![0-9])")
_MY_NUMBER = re.compile(r"(?<![0-9+])(?<![0-9]-)[0-9]{4}([ -]?)[0-9]{4}\1[0-9]{4}(?![0-9]|[ -][0-9])")
_CARD = re.compile(
    r"(?<![0-9+])(?<![0-9]-)"
    r"(?:[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,7}|[0-9]{4}([ -])[0-9]{6}\2[0-9]{4,5}|[0-9]{13,19})(?![0-9])"
)
_IP4 = re.compile(r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9]|\.[0-9])")
_WORLD = re.compile(r"\+[1-9](?:[ .()-]{0,2}[0-9]){6,14}(?![0-9])")
_HOME = re.compile(
    r"(?<![0-9+.])(?<![0-9]-)(?:\(0[0-9]{1,4}\) ?|0[0-9]{1,4}[-. ()])[0-9]{1,4}[-. )][0-9]{3,4}(?![0-9]|-[0-9])"
)
_BARE = re.compile(r"(?<![0-9+.-])0[0-9]{8,10}(?![0-9.-])")
_AMERICAN = re.compile(
    r"(?<![0-9+.-])(?:1[-. ])?(?:\([0-9]{3}\) ?|[0-9]{3}[-.])[0-9]{3}[-.][0-9]{4}(?![0-9-])"
)


def joined(text: str, start: int, end: int = -1) -> bool:
    """Letters or digits of the same word stand before or, where `end` is given, behind: A1-2345678, 12345678px."""
    before = text[max(0, start - 2) : start].rstrip("-")
    behind = text[end : end + 1] if end >= 0 else ""
    return any(c.isascii() and (c.isalnum() or c == "_") for c in (before[-1:], behind) if c)


def numbers(text: str) -> Iterator[Found]:
    for region in _REGION.finditer(text):
        for pattern, kind, judge in _JUDGES:
            for match in pattern.finditer(text, *region.span()):
                if not joined(text, *match.span()) and judge(text, match):
                    yield *match.span(), kind


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for n, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + n % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def resident_checksum(digits: str) -> bool:
    """The last of 13 digits of a Korean resident number issued before October 2020."""
    total = sum(
        int(digit) * weight
        for digit, weight in zip(digits, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), strict=False)
    )
    own = (11 - total % 11) % 10
    foreign = (13 - total % 11) % 10
    return int(digits[12]) == (foreign if digits[6] in "5678" else own)


def my_number_checksum(digits: str) -> bool:
    """The last of 12 digits of a Japanese My Number (ordinance 85 of 2014, article 5)."""
    total = sum(int(digit) * (n + 1 if n <= 6 else n - 5) for n, digit in enumerate(reversed(digits[:11]), 1))
    rest = total % 11
    return int(digits[11]) == (0 if rest <= 1 else 11 - rest)


def _digits(match: re.Match[str]) -> str:
    return re.sub("[^0-9]", "", match.group())


_CENTURY = {"1": 1900, "2": 1900, "5": 1900, "6": 1900, "3": 2000, "4": 2000, "7": 2000, "8": 2000}
_RANDOM_SINCE = datetime.date(2020, 10, 1)
"""Numbers issued from this day on have no checksum."""


def _is_resident(text: str, match: re.Match[str]) -> bool:
    digits = _digits(match)
    try:
        born = datetime.date(_CENTURY[digits[6]] + int(digits[:2]), int(digits[2:4]), int(digits[4:6]))
    except ValueError:
        return False
    meant = _meant(text, match.start(), "resident-number")
    if meant is not None:
        return meant
    return resident_checksum(digits) or (bool(match[2]) and born >= _RANDOM_SINCE)


def _is_my_number(text: str, match: re.Match[str]) -> bool:
    """Without a separator only where the words before say so: one in ten order numbers has the checksum."""
    if not my_number_checksum(_digits(match)):
        return False
    meant = _meant(text, match.start(), "my-number")
    return bool(match[1]) if meant is None else meant


_BRANDS = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"35(?:2[89]|[3-8])"), (16, 19)),
    (re.compile(r"3(?:0[0-5]|[689])"), (14, 16)),
    (re.compile(r"6011|65|64[4-9]|62|81"), (16, 17, 18, 19)),
    (re.compile(r"50|5[6-9]|6[37]"), (16,)),
    (re.compile(r"9"), (16,)),
)
"""Visa, Mastercard, American Express, JCB, Diners, Discover and UnionPay, Maestro, Korean domestic cards."""


def _is_card(text: str, match: re.Match[str]) -> bool:
    digits = _digits(match)
    if not any(brand.match(digits) and len(digits) in sizes for brand, sizes in _BRANDS) or not luhn(digits):
        return False
    meant = _meant(text, match.start(), "card")
    if meant is None and (len(digits) == 13 or digits[0] == "9"):
        return False
    return meant is not False


def _is_ip4(text: str, match: re.Match[str]) -> bool:
    try:
        address = ipaddress.IPv4Address(match.group())
    except ValueError:
        return False
    return (
        is_somebodys(address)
        and not match.group().startswith("255.")
        and (_meant(text, match.start(), "ip") is not False)
    )


def is_somebodys(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return not (
        address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local
    )


def _is_world_phone(text: str, match: re.Match[str]) -> bool:
    return _is_phone(match.group(), None)


def _is_home_phone(text: str, match: re.Match[str]) -> bool:
    return _is_said_phone(text, match, "JP", "KR")


_MOBILE = re.compile(r"0[5789]0[0-9]{8}|01[016789][0-9]{7,8}")


def _is_bare_phone(text: str, match: re.Match[str]) -> bool:
    meant = _meant(text, match.start(), "phone")
    if meant is None:
        meant = bool(_MOBILE.fullmatch(match.group()))
    return meant and (_is_phone(match.group(), "JP") or _is_phone(match.group(), "KR"))


def _is_american_phone(text: str, match: re.Match[str]) -> bool:
    return _is_said_phone(text, match, "US")


def _is_said_phone(text: str, match: re.Match[str], *regions: str) -> bool:
    """Where the words before say that it is one, a number that nobody has yet counts too."""
    meant = _meant(text, match.start(), "phone")
    if meant is None:
        return any(_is_phone(match.group(), region) for region in regions)
    return meant and len(_digits(match)) >= 9


def _is_phone(number: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False


_JUDGES: tuple[tuple[re.Pattern[str], str, Callable[[str, re.Match[str]], bool]], ...] = (
    (_CARD, "card", _is_card),
    (_RESIDENT, "resident-number", _is_resident),
    (_MY_NUMBER, "my-number", _is_my_number),
    (_IP4, "ip", _is_ip4),
    (_WORLD, "phone", _is_world_phone),
    (_HOME, "phone", _is_home_phone),
    (_BARE, "phone", _is_bare_phone),
    (_AMERICAN, "phone", _is_american_phone),
)
