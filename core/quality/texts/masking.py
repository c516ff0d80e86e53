"""Pure. Personal data in texts replaced by tokens that only the holder of a key can turn back.

    masker = Masker(key)                 # Masker.new_key() makes one; keep it where only administrators read
    masked, vault = masker.mask(record)  # vault: token → sealed value, to be stored beside the dataset
    masker.unmask(masked, vault)         # the record as it was

One value has one token under one key wherever it stands, so that copies stay copies and a model can
still learn that two mentions are the same; without the key neither token nor vault says anything.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core.errors import InvalidInput, NotAllowed
from core.quality.texts import pii
from core.quality.texts.form import ROLES
from core.texts.records import Record, Turn

KEY_BYTES = 32
TOKEN_LETTERS = 16
"""Of base32, 80 bits: two values in a billion share a token with a chance below one in a million."""

VEIL = "•••"

Vault = dict[str, str]

_TOKEN = re.compile(r"\[(?:" + "|".join(pii.KINDS) + rf"):[A-Z2-7]{{{TOKEN_LETTERS}}}\]")


class Masker:
    def __init__(self, key: str) -> None:
        """`key` as `new_key` makes it. Raises InvalidInput for another text."""
        try:
            raw = base64.urlsafe_b64decode(key.encode())
        except (binascii.Error, UnicodeEncodeError):
            raw = b""
        if len(raw) != KEY_BYTES:
            raise InvalidInput("This is not a masking key; give the one that was made for masking.")
        derived = HKDF(SHA256(), KEY_BYTES + 64, None, b"veritrain masking 1").derive(raw)
        self._name, self._seal = derived[:KEY_BYTES], AESSIV(derived[KEY_BYTES:])

    @staticmethod
    def new_key() -> str:
        return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()

    def mask_text(self, text: str, kinds: Collection[str] = pii.KINDS) -> tuple[str, Vault]:
        """The text with a token in place of each span of these kinds that `pii.find` knows."""
        parts: list[str] = []
        vault: Vault = {}
        end = 0
        for span in pii.find(text):
            if span.kind not in kinds:
                continue
            token, sealed = self._token(span.kind, text[span.start : span.end])
            vault[token] = sealed
            parts += text[end : span.start], token
            end = span.end
        return "".join((*parts, text[end:])), vault

    def unmask_text(self, text: str, vault: Mapping[str, str]) -> str:
        """Tokens of the vault turned back; others stay. Raises NotAllowed where the key is another one."""
        return _TOKEN.sub(lambda match: self._open(match.group(), vault), text)

    def mask(self, record: Record, kinds: Collection[str] = pii.KINDS) -> tuple[Record, Vault]:
        """All texts of the record, and roles that no template knows; its other columns are left as they are."""
        vault: Vault = {}

        def masked(text: str) -> str:
            text, found = self.mask_text(text, kinds)
            vault.update(found)
            return text

        return _with_roles(mapped(record, masked), masked), vault

    def unmask(self, record: Record, vault: Mapping[str, str]) -> Record:
        def opened(text: str) -> str:
            return self.unmask_text(text, vault)

        return _with_roles(mapped(record, opened), opened)

    def _token(self, kind: str, value: str) -> tuple[str, str]:
        digest = hmac.new(self._name, f"{kind}\0{value}".encode(), hashlib.sha256).digest()
        token = f"[{kind}:{base64.b32encode(digest).decode()[:TOKEN_LETTERS]}]"
        return token, base64.b64encode(self._seal.encrypt(value.encode(), [token.encode()])).decode()

    def _open(self, token: str, vault: Mapping[str, str]) -> str:
        sealed = vault.get(token)
        if sealed is None:
            return token
        try:
            return self._seal.decrypt(base64.b64decode(sealed), [token.encode()]).decode()
        except (InvalidTag, ValueError):
            raise NotAllowed(
                "The masking key does not fit what was masked; give the key it was masked with."
            ) from None


def tokens(record: Record) -> list[str]:
    """The tokens that stand in its texts and roles, each once."""
    texts = [text for _, text in record.texts()] + [turn.role for turn in record.turns]
    return list(dict.fromkeys(token for text in texts for token in _TOKEN.findall(text)))


def veiled(text: str) -> str:
    """The text without its personal data, for eyes that need not see it; nothing turns it back."""
    parts: list[str] = []
    end = 0
    for span in pii.find(text):
        parts += text[end : span.start], VEIL
        end = span.end
    return "".join((*parts, text[end:]))


def mapped(record: Record, change: Callable[[str], str]) -> Record:
    """The record with `change` done to each of its texts."""
    turns = tuple(Turn(turn.role, change(turn.content)) for turn in record.turns)
    return Record(turns, change(record.context), change(record.system), record.extra, record.line)


def _with_roles(record: Record, change: Callable[[str], str]) -> Record:
    """The record with `change` done to the roles that no template knows."""
    turns = tuple(
        turn if turn.role in ROLES else Turn(change(turn.role), turn.content) for turn in record.turns
    )
    return replace(record, turns=turns)
