"""Every fix is shown before it is done, makes a version, and the next check finds its finding gone."""

from __future__ import annotations

import random
import stat

import numpy as np
import pytest
import sqlalchemy as sa

from core import auth
from core.datasets import access, decisions, findings, repair, store, vault
from core.db.tables import audit_log
from core.db.text_tables import text_vault
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from core.quality.texts.kinds import KINDS
from core.quality.texts.masking import VEIL, Masker
from core.settings import Settings
from core.texts.records import Record, Turn
from core.texts.rowfile import DataRow
from core.workbench import Workbench
from tests.core.datasets.checking import GOOD, checked, failed, looked_at, made, standing
from tests.core.quality.test_text_alignment import HANGUL, corpus, shuffle

ADDRESS = "taro.yamada@mail.example.com"
PERSONAL = Record.pair("Please write to me at the office", f"My address is {ADDRESS}, thank you.")
GARBLED = Record.pair("What is written on the sign there?", "cafÃ© Ã©tÃ© is what I read on the sign \x07here")
ASKED = "please explain in simple words why the sky looks blue at noon and red at dusk every day"


def row(wb: Workbench, dataset_id: int, row_id: int) -> DataRow:
    [found] = store.page(wb, store.get(wb, dataset_id).newest, ids=[row_id]).rows
    return found


def ids(wb: Workbench, dataset_id: int) -> list[int]:
    return findings.row_ids(store.table(wb, store.get(wb, dataset_id).newest))


@pytest.mark.parametrize(
    ("fix", "kind", "bad", "gone"),
    [
        (
            "remove",
            "refusal",
            Record.pair("Tell me a joke, please", "I'm sorry, but I can't help with that."),
            True,
        ),
        ("remove", "no-turns", Record(()), True),
        ("copies", None, GOOD[1], True),
        ("mask", None, PERSONAL, False),
        ("mask", "email", PERSONAL, False),
        ("clean", None, GARBLED, False),
    ],
)
def test_a_fix_is_shown_done_and_its_finding_gone(
    wb: Workbench, labeler: auth.User, settings: Settings, fix: str, kind: str | None, bad: Record, gone: bool
) -> None:
    dataset = made(wb, labeler, *GOOD, bad)
    found = checked(wb, labeler, dataset.id, settings)
    kinds = [name for name in found.open if KINDS[name].fix == fix or name == kind]
    assert kinds
    shown = repair.preview(wb, dataset.id, fix, kind)
    assert (shown.removed, shown.changed, shown.left) == ((1, 0, 0) if gone else (0, 1, 0))
    [example] = shown.examples
    assert (example.row_id, example.after is None) == (5, gone)
    version = repair.apply(wb, labeler, dataset.id, fix, kind, parent=shown.version.id)
    assert (version.number, version.row_count) == (2, 4 if gone else 5)
    assert version.change["fix"] == fix and version.change["removed" if gone else "changed"] == 1
    after = checked(wb, labeler, dataset.id, settings)
    assert not after.open.keys() & set(kinds)
    assert looked_at(wb, dataset.id) == (0 if gone else 1)
    assert after.gate.passed
    assert [entry.action for entry in findings.entries(wb, dataset.id)] == ["check", "fix", "check"]
    # a second press changes nothing
    assert repair.apply(wb, labeler, dataset.id, fix, kind).number == 2


def test_of_copies_the_tested_one_stays_then_the_first_or_the_longest(
    wb: Workbench, labeler: auth.User, settings: Settings
) -> None:
    long = Record.pair(GOOD[0].prompt, GOOD[0].answer + " !!! ... !!!")
    dataset = made(wb, labeler, GOOD[0], long, *GOOD[1:], GOOD[2], splits="tttttv")
    checked(wb, labeler, dataset.id, settings)
    version = store.get(wb, dataset.id).newest
    # rows 1 and 2 say the same; 4 is in train what 6 is in valid
    assert [(g.rows, g.best) for g in repair.groups(wb, version)] == [((1, 2), 1), ((4, 6), 6)]
    assert [g.best for g in repair.groups(wb, version, best="longest")] == [2, 6]
    assert repair.preview(wb, dataset.id, "copies", ids=[6]).removed == 0
    repair.apply(wb, labeler, dataset.id, "copies", best="longest")
    assert ids(wb, dataset.id) == [2, 3, 5, 6]
    assert checked(wb, labeler, dataset.id, settings).gate.passed


def test_shuffled_lines_and_copies_fail_the_gate_on_exactly_these_lines_until_they_are_repaired(
    wb_duckdb: Workbench, labeler: auth.User, settings: Settings
) -> None:
    n = 1_500
    sources, right = corpus(n, letters=HANGUL)
    targets, wrong = shuffle(right, 0.25)
    pairs = [Record.pair(source, target) for source, target in zip(sources, targets, strict=True)]
    copies = random.Random(0).sample(pairs, int(0.3 * n))
    dataset = made(wb_duckdb, labeler, *pairs, *copies, shape="parallel")
    found = checked(wb_duckdb, labeler, dataset.id, settings)
    assert failed(found) == {"alignment", "copies"}
    assert looked_at(wb_duckdb, dataset.id) == n
    assert findings.rows(wb_duckdb, found.version, "copy") == list(range(n + 1, n + len(copies) + 1))
    called = {row_id - 1 for row_id in findings.rows(wb_duckdb, found.version, "misaligned") if row_id <= n}
    planted = set(np.flatnonzero(wrong).tolist())
    assert len(called & planted) >= 0.9 * max(len(called), len(planted))
    repair.apply(wb_duckdb, labeler, dataset.id, "copies")
    repair.apply(wb_duckdb, labeler, dataset.id, "remove", "misaligned")
    after = checked(wb_duckdb, labeler, dataset.id, settings)
    assert after.gate.passed and after.counts is not None and after.counts.pairs == n - len(called)
    assert looked_at(wb_duckdb, dataset.id) == 0


def test_copies_that_somebody_wants_stay(
    wb: Workbench, labeler: auth.User, trainer: auth.User, settings: Settings
) -> None:
    dataset = made(wb, labeler, *GOOD, GOOD[0], GOOD[0])
    checked(wb, labeler, dataset.id, settings)
    decisions.keep(wb, trainer, dataset.id, "copy")
    assert repair.groups(wb, store.get(wb, dataset.id).newest) == []
    assert standing(wb, dataset.id).gate.passed
    decisions.keep(wb, trainer, dataset.id, "copy", keep=False)
    # one copy may stay: the other that says the same is still one too many
    copies = findings.rows(wb, store.get(wb, dataset.id).newest, "copy")
    assert decisions.keep(wb, trainer, dataset.id, "copy", copies[-1:]) == 1
    assert findings.rows(wb, store.get(wb, dataset.id).newest, "copy") == copies[:-1]
    assert standing(wb, dataset.id).kept == {"copy": 1}
    decisions.keep(wb, trainer, dataset.id, "copy", keep=False)
    # several fixes in a row need no check in between, and what was edited is no copy any more
    repair.edit(wb, labeler, dataset.id, 1, {"output": "It is Paris, the city on the river Seine."})
    assert [(g.rows, g.best) for g in repair.groups(wb, store.get(wb, dataset.id).newest)] == [((5, 6), 5)]
    repair.apply(wb, labeler, dataset.id, "copies")
    assert ids(wb, dataset.id) == [1, 2, 3, 4, 5]


def test_leaks_lose_the_side_that_is_learnt_from(
    wb: Workbench, labeler: auth.User, settings: Settings
) -> None:
    rows = (Record.pair(ASKED, "Because of the air."), Record.pair("Quiz", f"He said: {ASKED}!"), *GOOD)
    dataset = made(wb, labeler, *rows, splits="ettttt")
    assert failed(checked(wb, labeler, dataset.id, settings)) == {"leakage"}
    repair.edit(wb, labeler, dataset.id, 3, {"output": "It is Paris, the city on the river Seine."})
    with pytest.raises(Conflict, match="check again"):
        repair.apply(wb, labeler, dataset.id, "leaks")
    checked(wb, labeler, dataset.id, settings)
    assert repair.preview(wb, dataset.id, "leaks").removed == 1
    repair.apply(wb, labeler, dataset.id, "leaks")
    assert ids(wb, dataset.id) == [1, 3, 4, 5, 6]
    assert checked(wb, labeler, dataset.id, settings).gate.passed


def test_masked_is_masked_the_same_everywhere_and_only_an_administrator_turns_it_back(
    wb: Workbench, labeler: auth.User, trainer: auth.User, admin: auth.User, settings: Settings
) -> None:
    other = Record.pair(f"Who has the address {ADDRESS} here?", "Somebody in the office on the second floor.")
    dataset = made(wb, labeler, *GOOD, PERSONAL, other)
    checked(wb, labeler, dataset.id, settings)
    [one, two] = repair.preview(wb, dataset.id, "mask").examples
    assert VEIL in one.before["output"] and "[email:" in str(one.after) and "[email:" in str(two.after)
    repair.apply(wb, labeler, dataset.id, "mask")
    masked = row(wb, dataset.id, 5).record.answer
    token = masked.removeprefix("My address is ").removesuffix(", thank you.")
    assert token in row(wb, dataset.id, 6).record.prompt and ADDRESS not in masked
    with wb.db.read() as connection:
        [kept] = connection.execute(sa.select(text_vault.c.token)).scalars()
    assert kept == token
    for person in (labeler, trainer):
        with pytest.raises(NotAllowed):
            vault.unmask(wb, person, dataset.id, 5)
    assert vault.unmask(wb, admin, dataset.id, 5).record == PERSONAL
    with pytest.raises(NotFound, match="no row 99"):
        vault.unmask(wb, admin, dataset.id, 99)
    with wb.db.read() as connection:
        log = audit_log.c
        seen = connection.execute(sa.select(log.user_name, log.detail).where(log.action == "dataset.unmask"))
        [(name, detail)] = seen.all()
    assert (name, detail) == ("admin", {"row": 5, "version": 2, "tokens": [token]})
    # what is masked now, an old version does not give away
    access.readable(wb, labeler, dataset.id)
    access.readable(wb, admin, dataset.id, dataset.newest.number)
    with pytest.raises(NotAllowed, match="Version 2 masked personal data that version 1 still shows"):
        access.readable(wb, trainer, dataset.id, dataset.newest.number)
    key = vault.key_path(wb)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    # the same value in a later upload becomes the same token; another key opens nothing
    repair.edit(wb, labeler, dataset.id, 1, {"output": f"It is {ADDRESS}, I believe, is it not?"})
    checked(wb, labeler, dataset.id, settings)
    repair.apply(wb, labeler, dataset.id, "mask")
    assert token in row(wb, dataset.id, 1).record.answer
    key.write_text(Masker.new_key())
    with pytest.raises(NotAllowed, match="key does not fit"):
        vault.unmask(wb, admin, dataset.id, 5)


def test_only_what_is_open_is_masked(
    wb_duckdb: Workbench, labeler: auth.User, trainer: auth.User, settings: Settings
) -> None:
    both = Record.pair("How do I reach the hotline of the town?", f"Call 03-3456-7890 or write to {ADDRESS}.")
    dataset = made(wb_duckdb, labeler, *GOOD, both)
    checked(wb_duckdb, labeler, dataset.id, settings)
    decisions.keep(wb_duckdb, trainer, dataset.id, "phone")
    repair.apply(wb_duckdb, labeler, dataset.id, "mask")
    answer = row(wb_duckdb, dataset.id, 5).record.answer
    assert answer.startswith("Call 03-3456-7890 or write to [email:")


def test_what_cannot_be_repaired_is_left_and_said(
    wb_duckdb: Workbench, labeler: auth.User, settings: Settings
) -> None:
    lost = Record.pair(
        "What is written on the sign there?", "The sign says \ufffd\ufffd\ufffd and nothing else"
    )
    dataset = made(wb_duckdb, labeler, *GOOD, lost)
    checked(wb_duckdb, labeler, dataset.id, settings)
    assert repair.preview(wb_duckdb, dataset.id, "clean") == repair.Preview(
        store.get(wb_duckdb, dataset.id).newest, 0, 0, 1, []
    )
    repair.edit(wb_duckdb, labeler, dataset.id, 5, {"output": "The sign says no entry and nothing else."})
    assert checked(wb_duckdb, labeler, dataset.id, settings).gate.passed


def test_a_row_is_edited_by_hand_and_nobody_overwrites_another(
    wb_duckdb: Workbench, labeler: auth.User, settings: Settings
) -> None:
    talk = Record(
        (Turn("user", "Hi there"), Turn("assistant", "Hello"), Turn("user", "Bye")), system="Be kind."
    )
    dataset = made(wb_duckdb, labeler, *GOOD, talk, splits="tttee")
    first = dataset.newest.id
    repair.edit(wb_duckdb, labeler, dataset.id, 5, {"turn 3": "And now?", "system": ""}, parent=first)
    edited = row(wb_duckdb, dataset.id, 5)
    assert [turn.content for turn in edited.record.turns] == ["Hi there", "Hello", "And now?"]
    assert (edited.record.system, edited.split) == ("", "test")
    with pytest.raises(Conflict, match="version 2 by now, made by labeler"):
        repair.edit(wb_duckdb, labeler, dataset.id, 1, {"output": "x"}, parent=first)
    for texts, why in (
        ({"wings": "x"}, "no text “wings”"),
        ({"output": "x" * 1_000_001}, "at most 1000000"),
        ({"output": "a\0b"}, "cannot be stored"),
    ):
        with pytest.raises(InvalidInput, match=why):
            repair.edit(wb_duckdb, labeler, dataset.id, 1, texts)
    with pytest.raises(NotFound, match="no row 99"):
        repair.edit(wb_duckdb, labeler, dataset.id, 99, {"output": "x"})


def test_fixes_that_make_no_sense_are_refused(
    wb_duckdb: Workbench, labeler: auth.User, viewer: auth.User, settings: Settings
) -> None:
    dataset = made(wb_duckdb, labeler, *GOOD, PERSONAL)
    with pytest.raises(Conflict, match="not checked yet"):
        repair.preview(wb_duckdb, dataset.id, "mask")
    checked(wb_duckdb, labeler, dataset.id, settings)
    with pytest.raises(InvalidInput, match="“burn” is not one of"):
        repair.preview(wb_duckdb, dataset.id, "burn")
    with pytest.raises(InvalidInput, match="no finding “ugly”"):
        repair.preview(wb_duckdb, dataset.id, "remove", "ugly")
    with pytest.raises(InvalidInput, match="does not repair the finding “email”"):
        repair.preview(wb_duckdb, dataset.id, "clean", "email")
    with pytest.raises(InvalidInput, match="Say which finding"):
        repair.preview(wb_duckdb, dataset.id, "remove")
    with pytest.raises(InvalidInput, match="“worst” is not one of"):
        repair.preview(wb_duckdb, dataset.id, "copies", best="worst")
    with pytest.raises(NotAllowed):
        repair.apply(wb_duckdb, viewer, dataset.id, "mask")
