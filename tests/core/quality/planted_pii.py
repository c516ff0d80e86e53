"""Sentences in Korean, Japanese and English with planted personal data, and as many that only look like it.

Everything is generated; checksums are computed here by their published rules, not by the code under test.
"""

from __future__ import annotations

import base64
import json
import random
import string
from dataclasses import dataclass

LANGUAGES = ("ko", "ja", "en")


@dataclass(frozen=True)
class Planted:
    text: str
    spans: tuple[tuple[int, int, str], ...]
    """Start, end and kind of what was planted."""


def planted(n: int, seed: int = 0) -> list[Planted]:
    """`n` sentences: half with one or two planted values, half with look-alikes."""
    rng = random.Random(seed)
    return [_positive(rng) if n % 2 else _negative(rng) for n in range(n)]


# --- values ------------------------------------------------------------------


def digits(rng: random.Random, n: int, first: str = string.digits) -> str:
    return rng.choice(first) + "".join(rng.choices(string.digits, k=n - 1))


def luhn_complete(body: str) -> str:
    doubled = [int(d) * (2 if n % 2 == 0 else 1) for n, d in enumerate(reversed(body))]
    return body + str(-sum(x // 10 + x % 10 for x in doubled) % 10)


def card(rng: random.Random) -> str:
    prefix, size = rng.choice([("4", 16), ("51", 16), ("2221", 16), ("37", 15), ("3528", 16), ("6011", 16)])
    number = luhn_complete(prefix + digits(rng, size - len(prefix) - 1))
    gap = rng.choice(["", " ", "-"])
    if size == 15:
        return gap.join((number[:4], number[4:10], number[10:]))
    return gap.join(number[n : n + 4] for n in range(0, 16, 4))


def resident_number(rng: random.Random) -> str:
    year, month, day = rng.randint(50, 99), rng.randint(1, 12), rng.randint(1, 28)
    body = f"{year:02}{month:02}{day:02}" + rng.choice("12") + digits(rng, 5)
    weights = [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]
    check = (11 - sum(int(d) * w for d, w in zip(body, weights, strict=True)) % 11) % 10
    return f"{body[:6]}-{body[6:]}{check}"


def my_number(rng: random.Random) -> str:
    body = digits(rng, 11)
    q = [6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]  # weights from the leading digit on
    rest = sum(int(d) * w for d, w in zip(body, q, strict=True)) % 11
    number = body + str(0 if rest <= 1 else 11 - rest)
    return rng.choice([number, " ".join((number[:4], number[4:8], number[8:]))])


def iban(rng: random.Random) -> str:
    country, size, letters = rng.choice([("DE", 22, 0), ("GB", 22, 4), ("FR", 27, 0), ("NL", 18, 4)])
    body = "".join(rng.choices(string.ascii_uppercase, k=letters)) + digits(rng, size - 4 - letters)
    number = int("".join(str(int(c, 36)) for c in f"{body}{country}00"))
    whole = f"{country}{98 - number % 97:02}{body}"
    return rng.choice([whole, " ".join(whole[n : n + 4] for n in range(0, size, 4))])


def email(rng: random.Random) -> str:
    name = rng.choice(["taro.yamada", "minsu_kim", "j.smith+news", "hanako", "lee99", "o'brien"])
    domain = rng.choice(["mail.example.com", "naver.com", "docomo.ne.jp", "corp.co.kr", "gmail.com"])
    return f"{name}{rng.choice(['', rng.randint(1, 999)])}@{domain}"


def phone(rng: random.Random, language: str) -> str:
    last = digits(rng, 4)
    if language == "ko":
        forms = [
            f"010-{digits(rng, 4, '23456789')}-{last}",
            f"02-{digits(rng, 4, '23456')}-{last}",
            f"010{digits(rng, 4, '23456789')}{last}",
            f"+82 10-{digits(rng, 4, '23456789')}-{last}",
            f"031-{digits(rng, 3, '23456')}-{last}",
        ]
    elif language == "ja":
        forms = [
            f"090-{digits(rng, 4, '123456789')}-{last}",
            f"03-{digits(rng, 4, '3456')}-{last}",
            f"080{digits(rng, 4, '123456789')}{last}",
            f"+81 90-{digits(rng, 4, '123456789')}-{last}",
            f"０９０－{wide(digits(rng, 4, '123456789'))}－{wide(last)}",
            f"06-{digits(rng, 4, '6')}-{last}",
        ]
    else:
        area = rng.choice(["415", "212", "303", "617", "206"])
        middle = rng.choice("2346789") + rng.choice("2346789") + rng.choice("023456789")
        forms = [
            f"({area}) {middle}-{last}",
            f"{area}-{middle}-{last}",
            f"+1 {area}-{middle}-{last}",
            f"+44 20 7946 0{digits(rng, 3)}",
            f"+1-{area}-{middle}-{last}",
        ]
    return rng.choice(forms)


def wide(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) for c in text)


def ip(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return "2001:db8:" + ":".join(f"{rng.randrange(1, 65536):x}" for _ in range(6))
    return ".".join(
        str(n) for n in (rng.choice([8, 52, 103, 133, 192, 203]), *(rng.randint(1, 254) for _ in range(3)))
    )


def key(rng: random.Random) -> str:
    letters = string.ascii_letters + string.digits
    body = lambda n: "".join(rng.choices(letters, k=n))  # noqa: E731
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()  # noqa: E731
    return rng.choice(
        [
            "AKIA" + "".join(rng.choices(string.ascii_uppercase + string.digits, k=16)),
            "ghp_" + body(36),
            "github_pat_" + body(82),
            "sk-proj-1" + body(40),
            "xoxb-" + digits(rng, 12) + "-" + body(24),
            "AIza" + body(35),
            f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'sub': body(8), 'iat': 1})}.{body(43)}",
            f"-----BEGIN RSA PRIVATE KEY-----\n{body(64)}\n{body(64)}\n-----END RSA PRIVATE KEY-----",
        ]
    )


def value(rng: random.Random, kind: str, language: str) -> str:
    if kind == "phone":
        return phone(rng, language)
    makers = {"email": email, "card": card, "resident-number": resident_number, "my-number": my_number}
    return (makers | {"iban": iban, "ip": ip, "key": key})[kind](rng)


# --- sentences ---------------------------------------------------------------

FRAMES = {
    "ko": [
        "제 {label} {v}입니다.",
        "{label} {v} 로 확인해 주세요.",
        "회의 전에 {label}: {v} 를 적어 두세요.",
    ],
    "ja": [
        "私の{label}は{v}です。",
        "{label}：{v}までご連絡ください。",
        "会議の前に{label}（{v}）を確認した。",
    ],
    "en": [
        "My {label} is {v}.",
        "Please write down the {label}: {v}, before noon.",
        "He sent me {label} {v} yesterday",
    ],
}
LABELS = {
    "email": {"ko": "이메일은", "ja": "メール", "en": "e-mail"},
    "phone": {"ko": "전화번호는", "ja": "電話番号", "en": "phone number"},
    "card": {"ko": "카드 번호는", "ja": "カード番号", "en": "card"},
    "resident-number": {"ko": "주민등록번호는", "ja": "韓国の住民登録番号", "en": "Korean resident number"},
    "my-number": {"ko": "일본 마이넘버는", "ja": "マイナンバー", "en": "My Number"},
    "iban": {"ko": "계좌는", "ja": "口座", "en": "account"},
    "ip": {"ko": "접속 주소는", "ja": "接続元", "en": "client"},
    "key": {"ko": "키는", "ja": "キー", "en": "key"},
}
BARE = ("email", "phone", "card", "resident-number", "iban", "ip", "key")
"""Kinds that must be found without a word that announces them."""


def _positive(rng: random.Random) -> Planted:
    text, spans = "", []
    language = rng.choice(LANGUAGES)
    for _ in range(rng.choice([1, 1, 2])):
        kind = rng.choice(list(LABELS))
        label = LABELS[kind][language]
        if kind in BARE and rng.random() < 0.4:
            label = {"ko": "정보", "ja": "情報", "en": "entry"}[language]
        before, after = rng.choice(FRAMES[language]).split("{v}")
        found = value(rng, kind, language)
        text += before.format(label=label)
        spans.append((len(text), len(text) + len(found), kind))
        text += found + after + " "
    return Planted(text, tuple(spans))


def _negative(rng: random.Random) -> Planted:
    language = rng.choice(LANGUAGES)
    n = rng.randint
    number = rng.choice(
        [
            # anything may follow a word that says what it is, valid checksum or not
            "{order} "
            + rng.choice([card(rng), my_number(rng), digits(rng, 16), digits(rng, 12), digits(rng, 10)]),
            "{tracking} "
            + rng.choice([digits(rng, 12), "-".join(digits(rng, 4) for _ in range(3)), my_number(rng)]),
            "{version} " + ".".join(str(n(0, 30)) for _ in range(4)),
            f"{n(1990, 2030)}-{n(1, 12):02}-{n(1, 28):02} {n(0, 23):02}:{n(0, 59):02}:{n(0, 59):02}",
            f"{n(1990, 2030)}/{n(1, 12):02}/{n(1, 28):02}",
            f"{n(2000, 2030)}{n(1, 12):02}{n(1, 28):02}{n(0, 23):02}{n(0, 59):02}",
            rng.choice(["{price} ₩", "{price} ¥", "{price} $"])
            + f"{n(1, 999)},{n(0, 999):03},{n(0, 999):03}",
            f"ISBN 978-{n(0, 9)}-{n(100, 999)}-{n(10000, 99999)}-{n(0, 9)}",
            f"{n(1, 99)}.{n(0, 99999):05}, {n(100, 179)}.{n(0, 99999):05}",
            f"AB-{digits(rng, 10)}",
            f"SKU{digits(rng, 13)}",
            f"{digits(rng, 8)}px",
            f"v{n(1, 20)}.{n(0, 20)}.{n(0, 9)}.{n(0, 9)}",
            f"icon{n(1, 9)}@2x.png",
            f"@user{n(1, 99)}",
            f"react@{n(1, 19)}.{n(0, 9)}.0",
            "git@github.com:team/project.git",
            f"{n(10, 23)}:{n(10, 59)}:{n(10, 59)}",
            "std::vector::size",
            "127.0.0.1",
            "255.255.255.0",
            f"{n(1, 9)}.{digits(rng, 15)}",
            f"#{digits(rng, 6)}",
            f"{n(100, 999)} x {n(100, 999)} - {n(10, 99)}",
            f"{digits(rng, 6, '9')}-{digits(rng, 7, '9')}",
            "sk-learn-pipeline-and-transformer-helpers",
            f"99{n(13, 99)}{n(32, 99)}-1{digits(rng, 6)}",
            "GB00 TEST 1234 5698 7654 32",
            f"{n(1000, 1999)}-{n(1000, 9999)}",
        ]
    )
    words = {
        "ko": {"order": "주문번호", "tracking": "운송장 번호", "version": "버전", "price": "가격"},
        "ja": {"order": "注文番号", "tracking": "追跡番号", "version": "バージョン", "price": "価格"},
        "en": {"order": "order number", "tracking": "tracking no.", "version": "version", "price": "price"},
    }[language]
    frame = {"ko": "{v} 을(를) 확인했습니다.", "ja": "{v}を確認しました。", "en": "We checked {v} today."}[
        language
    ]
    return Planted(frame.format(v=number.format(**words)), ())
