"""Promotion through the gate, and a ledger in which nothing can be changed unseen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from core import auth, gate, ledger, production, registry, serving, stages, version_changes, version_lists
from core.ab import report, trials
from core.db.tables import ab_experiments, model_registry, model_train_data, registry_ledger
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from core.ledger import Problem
from core.workbench import Workbench
from tests.core.ab.rig import PLAN, another_version, log, rows, two_versions

pytestmark = pytest.mark.usefixtures("fixed_salt")


def concluded(wb: Workbench, actor: auth.User, versions: list[int], gain: float, winner: str) -> trials.Trial:
    """A test of the versions in which users of B rate `gain` stars higher, ended with a winner."""
    theme_id = registry.get(wb, versions[0]).theme_id
    trial = trials.create(wb, actor, theme_id, "B against A", PLAN | {"versions": versions})
    trial = trials.start(wb, actor, trial.id)
    log(wb, trial, rows(trial, 600, gain=gain, seed=trial.id, each=1))
    return report.conclude(wb, actor, trial.id, winner, "the verdict is clear")


def stage(wb: Workbench, version_id: int) -> str:
    return registry.get(wb, version_id).stage


def states(wb: Workbench, version_id: int) -> list[str]:
    return [line.state for line in gate.look(wb, version_id)]


def test_a_version_is_promoted_by_its_verdict_and_the_former_one_archived(
    wb: Workbench, trainer: auth.User, labeler: auth.User
) -> None:
    _, [one, two] = two_versions(wb, trainer)
    model = registry.get(wb, one).model_id
    assert states(wb, one) == ["open", "open"]  # nothing is in production that it must beat
    assert [line.address and line.address.path for line in gate.look(wb, one)] == ["ab", "run"]
    with pytest.raises(NotAllowed):
        stages.promote(wb, labeler, one, "production", "why not")
    with pytest.raises(InvalidInput, match="“Why”"):
        stages.promote(wb, trainer, one, "production", " ")
    with pytest.raises(InvalidInput, match="“reason” has a character that cannot be stored"):
        stages.promote(wb, trainer, one, "production", "a\0b")
    with pytest.raises(InvalidInput, match="A stage is one of"):
        stages.promote(wb, trainer, one, "heaven", "because")
    with pytest.raises(NotFound):
        stages.promote(wb, trainer, 999, "production", "because")
    before = datetime.now(UTC) - timedelta(seconds=1)
    first = stages.promote(wb, trainer, one, "production", "the first one")
    assert states(wb, two) == ["red", "green"]
    with pytest.raises(gate.Refused, match=r"not promoted\. No concluded A/B test .* than version 1"):
        stages.promote(wb, trainer, two, "production", "it feels better")
    trial = concluded(wb, trainer, [one, two], 0.8, "B")
    serving.deploy(wb, trainer, one)
    made = production.promote_winner(wb, trainer, trial)
    assert {each.version.id for each in serving.deployments(wb)} == {
        one,
        two,
    }  # served as the one it replaces
    assert made.refusal is None and made.entry is not None
    assert (stage(wb, one), stage(wb, two)) == ("archived", "production")
    evidence = made.entry.evidence
    assert evidence["ab_test"]["verdict"]["kind"] == "better" and evidence["ab_test"]["seal"] == trial.seal
    assert [line["state"] for line in evidence["gate"]] == ["green", "green"] and evidence["override"] is None
    [promoted, replaced] = ledger.entries(wb, version_id=one)
    assert promoted == first and replaced.evidence["replaced_by"] == two and replaced.at == made.entry.at
    assert ledger.entries(wb, model_id=model) == [first, replaced, made.entry]
    moments = [before, first.at, made.entry.at - timedelta(microseconds=1), made.entry.at]
    assert [ledger.production_on(wb, model, at) for at in moments] == [None, one, one, two]
    name = registry.get(wb, one).model_name
    assert ledger.aliases(wb) == {name: {"champion": 2, "previous": 1}}
    for alias, found in (("champion", [two]), ("previous", [one]), ("challenger", [])):
        page = version_lists.page(wb, version_lists.Filter(alias=alias))
        assert [version.id for version in page.items] == found
    assert ledger.verify(wb) == []


def test_moves_that_are_not_allowed_say_why_and_only_an_administrator_goes_through_red(
    wb: Workbench, trainer: auth.User, admin: auth.User
) -> None:
    _, [one, two] = two_versions(wb, trainer)
    model = registry.get(wb, one)
    stages.promote(wb, trainer, one, "production", "first")
    with pytest.raises(Conflict, match="already"):
        stages.promote(wb, trainer, one, "production", "again")
    with pytest.raises(Conflict, match="not taken back"):
        stages.promote(wb, trainer, one, "staging", "back")
    stages.promote(wb, trainer, one, "archived", "it answers nonsense")
    assert ledger.production_on(wb, model.model_id, datetime.now(UTC)) is None
    assert ledger.aliases(wb) == {model.model_name: {"previous": 1, "challenger": 2}}
    with pytest.raises(Conflict, match="never goes straight to production"):
        stages.promote(wb, admin, one, "production", "please", override="please")
    stages.promote(wb, trainer, two, "production", "nothing else is there")
    stages.promote(wb, trainer, one, "staging", "another look")
    with pytest.raises(NotAllowed):
        stages.promote(wb, trainer, one, "production", "please", override="I am sure")
    with pytest.raises(InvalidInput, match=r"“Why although the gate is red” \(override\)"):
        stages.promote(wb, admin, one, "production", "please", override="")
    entry = stages.promote(wb, admin, one, "production", "two fails", override="no time for a test")
    assert entry.evidence["override"] == "no time for a test"
    assert entry.evidence["gate"][0]["state"] == "red" and entry.actor == "admin"
    assert ledger.aliases(wb) == {model.model_name: {"champion": 1, "previous": 2}}
    assert (stage(wb, one), stage(wb, two)) == ("production", "archived") and ledger.verify(wb) == []


def test_a_rollback_puts_the_version_back_that_was_there_before(
    wb: Workbench, trainer: auth.User, labeler: auth.User, admin: auth.User
) -> None:
    _, [one, two] = two_versions(wb, trainer)
    model = registry.get(wb, one)
    with pytest.raises(Conflict, match="is not in production"):
        stages.roll_back(wb, trainer, one, "why")
    stages.promote(wb, trainer, one, "production", "first")
    with pytest.raises(Conflict, match="none to go back to"):
        stages.roll_back(wb, trainer, one, "why")
    stages.promote(wb, admin, two, "production", "second", override="in a hurry")
    with pytest.raises(NotAllowed):
        stages.roll_back(wb, labeler, two, "why")
    with pytest.raises(InvalidInput, match="“Why”"):
        stages.roll_back(wb, trainer, two, " ")
    back = stages.roll_back(wb, trainer, two, "it answers nonsense")
    assert (stage(wb, one), stage(wb, two)) == ("production", "archived")
    assert (back.from_stage, back.to_stage, back.reason) == ("archived", "production", "it answers nonsense")
    assert ledger.entries(wb, version_id=two)[-1].evidence["replaced_by"] == one
    assert ledger.aliases(wb) == {model.model_name: {"champion": 1, "previous": 2}}
    assert stages.roll_back(wb, trainer, one, "it was better").version_id == two  # and forth again
    stages.promote(wb, trainer, two, "archived", "both are bad")
    with wb.db.read() as connection:
        assert ledger.before(connection, model.model_id) == two
    assert ledger.verify(wb) == []


def test_a_second_rollback_goes_further_back_and_not_to_what_was_just_removed(
    wb_duckdb: Workbench, trainer: auth.User, admin: auth.User
) -> None:
    wb = wb_duckdb
    theme, [one, two] = two_versions(wb, trainer)
    another_version(wb, trainer, theme, 3)
    three = registry.versions(wb, theme.id)[0].id
    stages.promote(wb, trainer, one, "production", "first")
    for version_id in (two, three):
        stages.promote(wb, admin, version_id, "production", "next", override="in a hurry")
    assert stages.roll_back(wb, trainer, three, "it answers nonsense").version_id == two
    back = production.way_back(wb, registry.get(wb, two))
    assert back is not None and back.version.id == one and back.removed is None
    assert stages.roll_back(wb, trainer, two, "it is slow").version_id == one
    back = production.way_back(wb, registry.get(wb, one))
    assert back is not None and back.version.id == two and back.removed is not None
    assert back.removed.reason == "it is slow"  # there is no other, so the window says this
    with pytest.raises(Conflict, match="where a rollback leads"):
        version_changes.delete(wb, trainer, two)


def test_only_a_verdict_against_what_is_in_production_opens_the_gate(
    wb: Workbench, trainer: auth.User
) -> None:
    _, [one, two] = two_versions(wb, trainer)
    a_won = production.promote_winner(wb, trainer, concluded(wb, trainer, [one, two], -0.8, "A"))
    assert a_won.entry is None and "keeps its place" in str(a_won.refusal)
    concluded(wb, trainer, [two, one], 0.8, "B")  # one is better than two
    stages.promote(wb, trainer, one, "production", "first")
    unclear = concluded(wb, trainer, [one, two], 0.0, "B")
    said = production.promote_winner(wb, trainer, unclear)
    assert said.entry is None and isinstance(said.refusal, gate.Refused)
    assert trials.get(wb, unclear.id).status == "concluded"
    against_better = concluded(wb, trainer, [one, two], 0.8, "A")  # the verdict was not followed
    assert (
        states(wb, two)[0] == "red" and production.promote_winner(wb, trainer, against_better).entry is None
    )
    good = concluded(wb, trainer, [one, two], 0.8, "B")
    assert states(wb, two)[0] == "green"
    forged = good.plan.model_dump(mode="json") | {"minimum": 0.01}  # a plan that is not the sealed one
    wb.db.write(
        lambda c: (
            c.execute(ab_experiments.update().where(ab_experiments.c.id == good.id).values(plan=forged))
            and None
        )
    )
    assert states(wb, two)[0] == "red"
    assert {stage(wb, one), stage(wb, two)} == {"production", "staging"} and ledger.verify(wb) == []


def test_a_newer_test_outweighs_an_old_win(wb_duckdb: Workbench, trainer: auth.User) -> None:
    wb = wb_duckdb
    _, [one, two] = two_versions(wb, trainer)
    stages.promote(wb, trainer, one, "production", "first")
    concluded(wb, trainer, [one, two], 0.8, "B")
    assert states(wb, two)[0] == "green"
    lost = concluded(wb, trainer, [one, two], -0.8, "A")
    line = gate.look(wb, two)[0]
    assert (line.state, line.fields["test_id"]) == ("red", lost.id) and "newest A/B test" in line.text()
    concluded(wb, trainer, [one, two], 0.8, "B")
    assert states(wb, two)[0] == "green"
    concluded(wb, trainer, [two, one], 0.8, "B")  # the same comparison, the other way round
    assert states(wb, two)[0] == "red"
    concluded(wb, trainer, [one, two], 0.8, "B")
    again = trials.create(wb, trainer, registry.get(wb, one).theme_id, "x", PLAN | {"versions": [one, two]})
    assert states(wb, two)[0] == "green"  # a draft has said nothing
    trials.start(wb, trainer, again.id)
    report.stop(wb, None, again.id, "B breaks a limit")
    assert states(wb, two)[0] == "red"


def test_accuracy_counts_only_on_the_same_test_images(wb: Workbench, trainer: auth.User) -> None:
    _, [one, two] = two_versions(wb, trainer)
    stages.promote(wb, trainer, one, "production", "first")

    def change(table: sa.Table, where: Any, **values: Any) -> None:
        wb.db.write(lambda c: c.execute(table.update().where(where).values(**values)) and None)

    worse = {"test": {"accuracy": 0.4}}
    change(model_registry, model_registry.c.id == two, metrics=worse, snapshot_hash="f" * 64)
    line = gate.look(wb, two)[1]  # another snapshot with the same test images
    assert line.state == "red" and "Right on only 40.0 %" in line.text() and "50.0 %" in line.text()
    seen = model_train_data.c
    change(model_train_data, (seen.version_id == two) & (seen.split == "test"), label_id=77)
    line = gate.look(wb, two)[1]
    assert line.state == "open" and "other test images" in line.text()


def test_two_who_promote_at_once_leave_one_version_in_production(
    wb: Workbench, admin: auth.User, trainer: auth.User
) -> None:
    _, versions = two_versions(wb, trainer)
    barrier, errors = threading.Barrier(2), list[Exception]()

    def go(version_id: int) -> None:
        barrier.wait()
        try:
            stages.promote(wb, admin, version_id, "production", "mine", override="now")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=go, args=[version_id]) for version_id in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and sorted(stage(wb, each) for each in versions) == ["archived", "production"]
    assert len(ledger.entries(wb)) == 3 and ledger.verify(wb) == []


L = registry_ledger.c
TAMPERING: list[tuple[str, Callable[[sa.Connection, int], Any], str]] = [
    ("reason", lambda c, i: c.execute(registry_ledger.update().where(L.id == i).values(reason="x")), "hash"),
    ("who", lambda c, i: c.execute(registry_ledger.update().where(L.id == i).values(actor="Eve")), "hash"),
    (
        "when",
        lambda c, i: c.execute(
            registry_ledger.update().where(L.id == i).values(at=datetime(2026, 3, 3, tzinfo=UTC))
        ),
        "hash",
    ),
    (
        "evidence",
        lambda c, i: c.execute(
            registry_ledger.update().where(L.id == i).values(evidence={"gate": [], "override": None})
        ),
        "evidence",
    ),
    ("gone", lambda c, i: c.execute(registry_ledger.delete().where(L.id == i)), "chain"),
    ("last gone", lambda c, i: c.execute(registry_ledger.delete().where(L.id > i)), "stage"),
]


@pytest.mark.parametrize(
    ("change", "found"), [row[1:] for row in TAMPERING], ids=[row[0] for row in TAMPERING]
)
def test_a_tampered_entry_is_found(
    wb: Workbench, trainer: auth.User, change: Callable[[sa.Connection, int], Any], found: str
) -> None:
    _, [one, _two] = two_versions(wb, trainer)
    entry = stages.promote(wb, trainer, one, "production", "first")
    stages.promote(wb, trainer, one, "archived", "second")
    assert ledger.verify(wb) == []
    wb.db.write(lambda connection: change(connection, entry.id) and None)
    assert found in {problem.kind for problem in ledger.verify(wb)}


def test_a_ledger_written_anew_from_one_end_to_the_other_is_found_by_its_head(
    wb: Workbench, trainer: auth.User
) -> None:
    _, [one, two] = two_versions(wb, trainer)
    stages.promote(wb, trainer, one, "production", "it was measured")
    stages.promote(wb, trainer, one, "archived", "it answers nonsense")
    real = ledger.entries(wb)

    def forge(connection: sa.Connection) -> None:
        """The same story of another version, with every hash made anew."""
        previous = ledger.FIRST
        connection.execute(registry_ledger.delete())
        for entry in real:
            fields = asdict(entry) | {"version_id": two, "previous_hash": previous}
            fields["hash"] = previous = ledger._hash(fields)
            connection.execute(registry_ledger.insert().values(**fields))
        for version_id, now in ((one, "staging"), (two, "archived")):
            statement = model_registry.update().where(model_registry.c.id == version_id)
            connection.execute(statement.values(stage=now))

    ledger.keep_head(wb)
    wb.db.write(forge)
    ledger.keep_head(wb)  # does not write over what it disagrees with
    assert ledger.verify(wb) == [Problem("head", real[-1].id, None)]

    (wb.settings.data_dir / "files" / ledger.HEAD).unlink()
    ledger.keep_head(wb)  # does not write one anew either
    assert ledger.verify(wb) == [Problem("head", None, None)]


def test_a_ledger_without_its_head_stands_only_by_an_administrators_word(
    wb: Workbench, trainer: auth.User, admin: auth.User
) -> None:
    _, [one, two] = two_versions(wb, trainer)
    stages.promote(wb, trainer, one, "production", "first")
    stages.promote(wb, admin, two, "production", "second", override="in a hurry")
    ledger.keep_head(wb)
    with pytest.raises(Conflict, match="nothing to accept"):
        stages.accept_ledger(wb, admin, "just so")
    wb.files.write(ledger.HEAD, b"no head")
    with pytest.raises(NotAllowed):
        stages.accept_ledger(wb, trainer, "trust me")
    entry = stages.accept_ledger(wb, admin, "the disk was changed")
    assert ledger.verify(wb) == [] and ledger.entries(wb)[-1] == entry
    assert entry.version_id == two and entry.evidence["known_head"] is None
    model = registry.get(wb, one)
    assert ledger.production_on(wb, model.model_id, entry.at) == two
    assert ledger.aliases(wb)[model.model_name] == {"champion": 2, "previous": 1}
    assert stages.roll_back(wb, trainer, two, "it answers nonsense").version_id == one
    ledger.keep_head(wb)
    assert ledger.verify(wb) == []


def test_the_head_follows_what_is_decided_and_notices_entries_that_are_gone(
    wb: Workbench, trainer: auth.User
) -> None:
    _, [one, _two] = two_versions(wb, trainer)
    first = stages.promote(wb, trainer, one, "production", "first")
    ledger.keep_head(wb)
    last = stages.promote(wb, trainer, one, "archived", "second")
    assert ledger.verify(wb) == []  # a head that is behind is no lie
    ledger.keep_head(wb)

    def undo(connection: sa.Connection) -> None:
        connection.execute(registry_ledger.delete().where(L.id == last.id))
        connection.execute(
            model_registry.update().where(model_registry.c.id == one).values(stage="production")
        )

    wb.db.write(undo)
    assert ledger.verify(wb) == [Problem("head", last.id, None)]
    assert ledger.entries(wb) == [first]


def test_a_stage_that_nobody_decided_is_found(wb: Workbench, trainer: auth.User) -> None:
    _, [one, _two] = two_versions(wb, trainer)
    statement = model_registry.update().where(model_registry.c.id == one).values(stage="production")
    wb.db.write(lambda connection: connection.execute(statement) and None)
    assert ledger.verify(wb) == [Problem("stage", None, one)]
