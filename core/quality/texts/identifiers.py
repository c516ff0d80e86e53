"""Pure. Addresses and secrets that are told by their form: e-mail, IBAN, IPv6, keys and tokens."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from core.quality.texts.numbers import Found, is_somebodys, joined

# --- keys --------------------------------------------------------------------

_KEY_PATTERNS = tuple(
    (literals, re.compile(pattern))
    for literals, pattern in (
        (("AKIA", "ASIA"), r"A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])"),
        (
            ("ecret", "ECRET"),
            r"(?i:secret[_-]?access[_-]?key)[\"']?\s*[:=]\s*[\"']?(?P<key>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])",
        ),
        (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9]{36,255}"),
        (("github_pat_",), r"github_pat_[A-Za-z0-9_]{50,255}"),
        (("glpat-",), r"glpat-[A-Za-z0-9_-]{20,64}"),
        (("xox",), r"xox[abeprs]-[A-Za-z0-9-]{10,255}"),
        (("AIza",), r"AIza[A-Za-z0-9_-]{35}"),
        (("k_live_", "k_test_"), r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,255}"),
        (("sk-",), r"sk-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{20,255}"),
        (("hf_",), r"hf_[A-Za-z0-9]{30,64}"),
        (("npm_",), r"npm_[A-Za-z0-9]{36}"),
        (("eyJ",), r"eyJ[A-Za-z0-9_-]{8,4096}\.eyJ[A-Za-z0-9_-]{8,8192}\.[A-Za-z0-9_-]{0,2048}"),
        (
            ("PRIVATE KEY-----",),
            r"-----BEGIN [A-Z0-9 ]{0,24}PRIVATE KEY-----(?:[^\0]{0,16384}?-----END [A-Z0-9 ]{0,24}PRIVATE KEY-----)?",
        ),
    )
)


def keys(text: str) -> Iterator[Found]:
    for literals, pattern in _KEY_PATTERNS:
        if any(literal in text for literal in literals):
            for match in pattern.finditer(text):
                if not joined(text, match.start()):
                    yield *match.span("key" if "key" in pattern.groupindex else 0), "key"


# --- e-mail ------------------------------------------------------------------

_LOCAL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._%+'-]{0,62}[A-Za-z0-9_+-])?\Z")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9])")
_FILES = frozenset(
    {"png", "jpg", "jpeg", "gif", "webp", "svg", "css", "html", "json", "xml", "txt", "pdf", "js", "ts"}
)
"""Last parts of names that follow an @ without being a domain: icon@2x.png."""


def emails(text: str) -> Iterator[Found]:
    at = text.find("@")
    while at >= 0:
        domain = _DOMAIN.match(text, at + 1)
        if domain and domain.group().rsplit(".", 1)[1].lower() not in _FILES:
            local = _LOCAL.search(text[max(0, at - 64) : at])
            if local and not (local.group() == "git" and text[domain.end() : domain.end() + 1] == ":"):
                yield at - len(local.group()), domain.end(), "email"
        at = text.find("@", at + 1)


# --- IBAN --------------------------------------------------------------------

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]){11,30}")
_IBAN_LENGTHS = dict(
    AD=24, AE=23, AL=28, AT=20, AZ=28, BA=20, BE=16, BG=22, BH=22, BI=27, BR=29, BY=28, CH=21, CR=22, CY=28,
    CZ=24, DE=22, DJ=27, DK=18, DO=28, EE=20, EG=29, ES=24, FI=18, FK=18, FO=18, FR=27, GB=22, GE=22, GI=23,
    GL=18, GR=27, GT=28, HN=28, HR=21, HU=28, IE=22, IL=23, IQ=23, IS=26, IT=27, JO=30, KW=30, KZ=20, LB=28,
    LC=32, LI=21, LT=20, LU=20, LV=21, LY=25, MC=27, MD=24, ME=22, MK=19, MN=20, MR=27, MT=31, MU=30, NI=28,
    NL=18, NO=15, OM=23, PK=24, PL=28, PS=29, PT=25, QA=29, RO=24, RS=22, RU=33, SA=24, SC=31, SD=18, SE=24,
    SI=19, SK=24, SM=27, SO=23, ST=25, SV=28, TL=23, TN=24, TR=26, UA=29, VA=22, VG=24, XK=20, YE=30,
)  # fmt: skip
"""ISO 13616 registry, by country."""


def ibans(text: str) -> Iterator[Found]:
    for match in _IBAN.finditer(text):
        start, length = match.start(), _IBAN_LENGTHS.get(match.group()[:2], 0)
        places = [n for n, c in enumerate(match.group()) if c not in " -"][:length]
        if not length or len(places) < length or joined(text, start):
            continue
        end = start + places[-1] + 1
        if end < len(text) and text[end].isascii() and text[end].isalnum():
            continue
        letters = "".join(match.group()[n] for n in places)
        if int("".join(str(int(c, 36)) for c in letters[4:] + letters[:4])) % 97 == 1:
            yield start, end, "iban"


# --- IPv6 --------------------------------------------------------------------

_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_IP6_LEFT = re.compile(r"[0-9A-Fa-f:]*\Z")
_IP6_RIGHT = re.compile(r"[0-9A-Fa-f:]*(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3})?")


def ip6(text: str) -> Iterator[Found]:
    after = 0
    for match in _COLONS.finditer(text):
        if match.start() < after:
            continue
        left = _IP6_LEFT.search(text[max(0, match.start() - 40) : match.start()])
        right = _IP6_RIGHT.match(text, match.end())
        assert left and right
        start, end = match.start() - len(left.group()), right.end()
        after = end
        written = text[start:end]
        if written.endswith(":") and not written.endswith("::"):
            written, end = written[:-1], end - 1
        letters = sum(c != ":" for c in written)
        if joined(text, start) or written.count(":") < 2 or (letters < 6 and written.count(":") < 4):
            continue
        try:
            address = ipaddress.IPv6Address(written)
        except ValueError:
            continue
        if any(c.isdigit() for c in written) and is_somebodys(address):
            yield start, end, "ip"
