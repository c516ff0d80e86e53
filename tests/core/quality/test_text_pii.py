"""Personal data is found where it stands, look-alikes are not, and no finding repeats it."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidInput, NotAllowed
from core.quality.texts import language, numbers, pii
from core.quality.texts.masking import Masker, tokens
from core.texts.records import Record, Turn
from tests.core.quality.planted_pii import planted

KEY = Masker.new_key()


def test_planted_values_in_three_languages_are_found_exactly_and_look_alikes_are_not() -> None:
    examples = planted(2_000)
    right = missed = wrong = 0
    for example, spans in zip(examples, pii.scan([e.text for e in examples]), strict=True):
        expected, found = set(example.spans), {(s.start, s.end, s.kind) for s in spans}
        right += len(expected & found)
        missed += len(expected - found)
        wrong += len(found - expected)
    assert right > 1_200
    assert right / (right + missed) >= 0.98
    assert right / (right + wrong) >= 0.98


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (numbers.luhn, "4111111111111111", "4111111111111112"),  # the test number of Visa
        (numbers.luhn, "378282246310005", "378282246310006"),  # of American Express
        (numbers.my_number_checksum, "123456789018", "123456789012"),  # of the Digital Agency's samples
        (numbers.resident_checksum, "8001011234560", "8001011234561"),
    ],
)
def test_checksums(check, good: str, bad: str) -> None:  # type: ignore[no-untyped-def]
    assert check(good)
    assert not check(bad)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("IBAN GB82 WEST 1234 5698 7654 32 THEN", "iban"),  # the example of ISO 13616
        ("주민등록번호 201105-3123456", "resident-number"),  # since October 2020 without checksum
        ("メールはtaro@example.co.jpまで", "email"),
        ("電話０３－１２３４－５６７８まで", "phone"),
        ("10.1.2.3 is the server", "ip"),
        ("Phone: (123) 456-7891", "phone"),
        ("(123) 456-7891", ""),
        ("version 1.2.3.4", ""),
        ("注文番号 4111 1111 1111 1111", ""),
        ("card 4111 1111 1111 1111", "card"),
        ("order 7, card 4111 1111 1111 1111", "card"),
        ("201105-3123456-1", "resident-number"),
        ("A4111111111111111", ""),
        ("4111111111111111px", ""),
        ("", ""),
    ],
)
def test_single_cases(text: str, found: str) -> None:
    assert [span.kind for span in pii.find(text)] == ([found] if found else [])


def test_findings_tell_place_and_kind_but_never_the_value() -> None:
    record = Record(
        (Turn("user", "call 010-1234-5678"), Turn("tool", "a@b.com, c@d.org"), Turn("assistant", "ok")),
        line=7,
    )
    result = pii.check([Record.pair("hi", "there"), record])
    assert [(f.record, f.where, f.kind, f.fields["count"]) for f in result.findings] == [
        (1, "turn 1", "phone", 1),
        (1, "turn 2", "email", 2),
    ]
    assert result.rate == 0.5
    assert result.findings[0].text() == "A phone number in “turn 1”."
    assert result.not_checked[0].startswith("Not checked: names")
    said = json.dumps([asdict(f) for f in result.findings], default=str)
    assert not any(secret in said for secret in ("010", "1234", "a@b", "d.org"))


def test_an_address_as_a_speakers_name_is_found_masked_and_kept_out_of_the_numbers() -> None:
    record = Record(
        (
            Turn("user", "hello to everybody in this room"),
            Turn("taro@example.com", "I am taro@example.com, hi"),
        )
    )
    [found] = pii.check([record]).findings
    assert (found.where, found.kind, found.fields["count"], found.fields["spans"]) == (
        "turn 2", "email", 2, [(5, 21)],
    )  # fmt: skip
    masked, vault = Masker(KEY).mask(record)
    assert pii.check([masked]).findings == [] and masked.turns[1].role.startswith("[email:")
    assert tokens(masked) == list(vault) and masked.turns[0] == record.turns[0]
    assert Masker(KEY).unmask(masked, vault) == record
    assert [part for part, _name, _language in language.told(record)] == ["user", "other"]


def test_masking_is_stable_and_only_its_key_turns_it_back() -> None:
    record = Record.pair(
        "mail taro@example.com",
        "taro@example.com or 010-1234-5678",
        "ＩＰ 8.8.8.8",
        "key AKIAIOSFODNN7EXAMPLE",
    )
    masked, vault = Masker(KEY).mask(record)
    assert pii.check([masked]).findings == []
    assert masked.prompt.removeprefix("mail ") in masked.answer
    assert (masked, vault) == Masker(KEY).mask(record)
    assert Masker(KEY).unmask(masked, vault) == record
    assert not any(secret in str(vault) + str(masked) for secret in ("taro", "1234", "8.8", "AKIA"))
    other = Masker(Masker.new_key())
    assert other.mask(record)[0] != masked
    with pytest.raises(NotAllowed, match="does not fit"):
        other.unmask(masked, vault)
    assert other.unmask(masked, {}) == masked
    moved = dict(zip(vault, reversed(vault.values()), strict=True))
    with pytest.raises(NotAllowed):
        Masker(KEY).unmask(masked, moved)
    for wrong in ("", "x", "é", KEY[:-4]):
        with pytest.raises(InvalidInput, match="not a masking key"):
            Masker(wrong)


@settings(deadline=None)
@given(st.lists(st.sampled_from([e.text for e in planted(60, seed=1)]) | st.text(max_size=20), max_size=4))
def test_masking_any_text_and_back_changes_nothing(texts: list[str]) -> None:
    text = " ".join(texts)
    if any(0xD800 <= ord(c) < 0xE000 for c in text):
        return
    masked, vault = Masker(KEY).mask_text(text)
    assert Masker(KEY).unmask_text(masked, vault) == text
    assert pii.find(masked) == []


@settings(deadline=None)
@given(st.lists(st.text("0123456789-+() .@ab:GB\0\n", max_size=60), max_size=4))
def test_texts_scanned_together_give_what_each_gives_alone(texts: list[str]) -> None:
    assert pii.scan(texts) == [pii.find(text) for text in texts]
