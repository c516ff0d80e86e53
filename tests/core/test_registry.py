"""Model versions: numbered, described, listed, found again, taken off the list."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from core import (
    auth,
    ledger,
    model_benchmarks,
    registry,
    runs,
    serving,
    stages,
    version_changes,
    version_lists,
)
from core.ab import duels, trials
from core.db import Database
from core.db.engine import bulk_insert
from core.db.migrate import upgrade
from core.db.tables import audit_log, finetuning_jobs, model_registry, model_tags, models
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from core.version_lists import Filter
from core.versions import Semver
from core.workbench import Workbench
from tests.conftest import ROOT, database
from tests.core.ab.rig import PLAN, another_version, two_versions
from tests.steps import ready_theme


def numbers(wb: Workbench, theme_id: int) -> list[str]:
    return [str(version.semver) for version in registry.versions(wb, theme_id)]


def test_a_new_version_gets_the_next_number_and_says_what_it_is(wb: Workbench, trainer: auth.User) -> None:
    theme, [one, two] = two_versions(wb, trainer)
    assert numbers(wb, theme.id) == ["1.1.0", "1.0.0"]
    version_changes.edit(wb, trainer, one, semver="3.2.7")
    another_version(wb, trainer, theme, 3)
    assert numbers(wb, theme.id) == ["3.3.0", "1.1.0", "3.2.7"]
    other, _ = two_versions(wb, trainer)
    assert numbers(wb, other.id) == ["1.1.0", "1.0.0"]  # another model counts for itself
    version = registry.get(wb, two)
    spec = runs.get(wb, version.run_id).spec
    assert (version.kind, version.architecture, version.weights) == ("vision", "resnet18", "none")
    assert version.labels == spec.labels and version.tags == () and version.description == ""
    newest = registry.newest(wb)
    assert newest is not None and newest.theme_id == other.id
    assert [each.accuracy for each in version_lists.choices(wb, theme.id)] == [0.5, 0.5, 0.5]


def test_number_tags_and_description_are_changed_and_noted(
    wb: Workbench, trainer: auth.User, labeler: auth.User
) -> None:
    _, [one, two] = two_versions(wb, trainer)
    made = version_changes.edit(
        wb, trainer, two, tags=["robust", "v:2", "robust"], description=" for line 3 "
    )
    assert (made.tags, made.description, made.semver) == (("robust", "v:2"), "for line 3", Semver(1, 1, 0))
    made = version_changes.edit(wb, trainer, two, tags=["robust", "fast"], semver="2.0.0")
    assert made == registry.get(wb, two) and made.tags == ("fast", "robust") and str(made.semver) == "2.0.0"
    assert version_changes.edit(wb, trainer, two, tags=[]).tags == ()
    assert version_changes.edit(wb, trainer, two, semver="2.0.0") == registry.get(wb, two)
    with wb.db.read() as connection:
        acts = sa.select(sa.func.count()).where(audit_log.c.action == "registry.edit")
        assert connection.execute(acts).scalar_one() == 3
    with pytest.raises(Conflict, match=r"1\.9\.9 is lower than 2\.0\.0"):
        version_changes.edit(wb, trainer, two, semver="1.9.9")
    with pytest.raises(Conflict, match=r"version 2\.0\.0 already; the next free one is 2\.1\.0"):
        version_changes.edit(wb, trainer, one, semver="2.0.0")
    with pytest.raises(InvalidInput, match="is no version number"):
        version_changes.edit(wb, trainer, one, semver="two")
    with pytest.raises(InvalidInput, match="is no tag"):
        version_changes.edit(wb, trainer, one, tags=["a b"])
    with pytest.raises(NotAllowed):
        version_changes.edit(wb, labeler, one, tags=[])
    with pytest.raises(NotFound):
        version_changes.edit(wb, trainer, 999, tags=[])


def test_two_who_want_one_number_do_not_both_get_it(wb: Workbench, trainer: auth.User) -> None:
    _, versions = two_versions(wb, trainer)
    barrier, refused = threading.Barrier(2), list[Exception]()

    def go(version_id: int) -> None:
        barrier.wait()
        try:
            version_changes.edit(wb, trainer, version_id, semver="5.0.0")
        except Exception as error:
            refused.append(error)

    threads = [threading.Thread(target=go, args=[version_id]) for version_id in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(each) for each in refused] == [Conflict]


def test_the_newest_score_of_a_benchmark_counts(wb: Workbench, trainer: auth.User, viewer: auth.User) -> None:
    _, [one, two] = two_versions(wb, trainer)
    model_benchmarks.add(wb, trainer, one, "noise", 0.25, {"images": 10, "by": {"cat": None}})
    again = model_benchmarks.add(wb, trainer, one, " noise ", 1)
    blur = model_benchmarks.add(wb, trainer, one, "blur", 0.0, {"images": 10, "by": {"cat": None}})
    assert model_benchmarks.newest(wb, [one, two]) == {one: [blur, again], two: []}
    for score in (float("nan"), float("inf"), -0.01, 1.01):
        with pytest.raises(InvalidInput, match="lies between 0 and 1"):
            model_benchmarks.add(wb, trainer, one, "noise", score)
    for name in ("", " ", "x" * 101):
        with pytest.raises(InvalidInput, match="name has 1 to 100 characters"):
            model_benchmarks.add(wb, trainer, one, name, 0.5)
    with pytest.raises(InvalidInput, match="control character"):
        model_benchmarks.add(wb, trainer, one, "a\nb", 0.5)
    with pytest.raises(InvalidInput, match="not finite"):
        model_benchmarks.add(wb, trainer, one, "a", 0.5, {"deep": [float("nan")]})
    with pytest.raises(InvalidInput, match="more than 64 KB"):
        model_benchmarks.add(wb, trainer, one, "a", 0.5, {"text": "x" * 70_000})
    with pytest.raises(NotAllowed):
        model_benchmarks.add(wb, viewer, one, "a", 0.5)
    with pytest.raises(NotFound):
        model_benchmarks.add(wb, trainer, 999, "a", 0.5)


@pytest.fixture
def many(_bench: Workbench, trainer: auth.User) -> list[int]:
    """Ids of 30 versions, the first one first: accuracy n / 30, tags by what n can be divided by."""
    wb = _bench
    theme = ready_theme(wb, trainer)
    another_version(wb, trainer, theme, 1)
    with wb.db.read() as connection:
        [row] = connection.execute(sa.select(model_registry)).mappings()
    rows = [
        dict(row)
        | {
            "id": row["id"] + n,
            "version": n + 1,
            "minor": n,
            "metrics": {"test": {"accuracy": n / 30}} if n else {},
            "stage": ledger.STAGES[n % 3],
            "description": "100 % for the façade" if n == 7 else "",
        }
        for n in range(30)
    ]
    tags = [
        {"version_id": row["id"], "tag": f"by-{divisor}"}
        for n, row in enumerate(rows)
        for divisor in (2, 3, 5)
        if n % divisor == 0
    ]

    def work(connection: sa.Connection) -> None:
        connection.execute(model_registry.delete())
        bulk_insert(connection, model_registry, rows)
        bulk_insert(connection, model_tags, tags)

    wb.db.write(work)
    return [row["id"] for row in rows]


def ids(wb: Workbench, **asked: Any) -> list[int]:
    page = version_lists.page(wb, Filter(**asked), limit=200)
    assert page.total == len(page.items) and (page.newer, page.older) == (None, None)
    return sorted(version.id for version in page.items)


def test_versions_are_found_by_what_they_are(wb: Workbench, many: list[int]) -> None:
    theme_id, name = registry.get(wb, many[0]).theme_id, registry.get(wb, many[0]).model_name
    assert ids(wb) == ids(wb, theme_id=theme_id) == ids(wb, model=name, kind="vision") == many
    assert ids(wb, theme_id=theme_id + 1) == ids(wb, model="nobody") == []
    assert ids(wb, stage="archived") == many[2::3]
    assert ids(wb, tags=("by-2", "by-5")) == [each for n, each in enumerate(many) if n % 2 == 0 or n % 5 == 0]
    assert ids(wb, tags=("by-2", "by-5", "by-2"), match="all") == many[::10]
    assert ids(wb, tags=("by-2", "by-7"), match="all") == []
    assert ids(wb, metric="test.accuracy", minimum=0.9) == many[27:]  # 27 / 30 is 0.9
    assert ids(wb, metric="valid.accuracy", minimum=0) == []
    assert ids(wb, text="1.21.") == [many[21]] and ids(wb, text="ANIMALS") == many == ids(
        wb, text=name.upper()
    )
    assert ids(wb, text="100 %") == [many[7]] and ids(wb, text="_") == []
    assert ids(wb, stage="staging", tags=("by-2",), metric="test.accuracy", minimum=0.5) == many[18::6]
    assert version_lists.tags(wb, theme_id) == ["by-2", "by-3", "by-5"]
    assert version_lists.tags(wb, theme_id + 1) == []
    assert [each.name for each in version_lists.named(wb)] == [name] and not version_lists.named(
        wb, theme_id + 1
    )


@pytest.mark.parametrize("limit", [1, 7, 10, 29, 30, 31])
def test_pages_show_every_version_once_in_either_direction(
    wb_duckdb: Workbench, many: list[int], limit: int
) -> None:
    asked = Filter(tags=("by-2", "by-3"))
    wanted = [each for n, each in enumerate(many) if n % 2 == 0 or n % 3 == 0][::-1]
    walk(wb_duckdb, asked, limit, wanted)


def test_pages_are_the_same_on_both_databases(wb: Workbench, many: list[int]) -> None:
    walk(wb, Filter(metric="test.accuracy", minimum=0.1), 4, many[3:][::-1])


def walk(wb: Workbench, asked: Filter, limit: int, wanted: list[int]) -> None:
    seen: list[int] = []
    pages = [version_lists.page(wb, asked, limit=limit)]
    while True:
        assert pages[-1].total == len(wanted) and pages[-1].before == len(seen)
        seen += [version.id for version in pages[-1].items]
        if (older := pages[-1].older) is None:
            break
        pages.append(version_lists.page(wb, asked, limit=limit, before=older))
    assert seen == wanted and pages[0].newer is None
    for page in reversed(pages[1:]):  # and back again
        assert page.newer is not None
        back = version_lists.page(wb, asked, limit=limit, after=page.newer)
        assert back == pages[pages.index(page) - 1]


def test_lists_refuse_what_they_do_not_know(wb_duckdb: Workbench) -> None:
    for asked, said in (
        ({"stage": "heaven"}, "A stage is one of staging, production, archived; “heaven” is not"),
        ({"kind": "smell"}, "A kind of model is one of"),
        ({"metric": "loss", "minimum": 0.1}, "can be chosen by one of test.accuracy"),
        ({"metric": "test.accuracy"}, "needs both"),
        ({"metric": "test.accuracy", "minimum": float("nan")}, "between 0 and 1"),
        ({"tags": ("a b",)}, "is no tag"),
        ({"model": "a/b"}, "is no name of a model"),
        ({"text": "a\0b"}, "cannot be stored"),
    ):
        with pytest.raises(InvalidInput, match=said):
            Filter(**asked)
    for limit in (0, 201):
        with pytest.raises(InvalidInput, match="1 to 200 versions"):
            version_lists.page(wb_duckdb, Filter(), limit=limit)
    with pytest.raises(InvalidInput, match="not for both"):
        version_lists.page(wb_duckdb, Filter(), before=1, after=1)


def test_only_what_nothing_needs_is_deleted_and_its_decisions_stay(
    wb: Workbench, trainer: auth.User, admin: auth.User, labeler: auth.User
) -> None:
    theme, [one, two] = two_versions(wb, trainer)
    another_version(wb, trainer, theme, 3)
    three = registry.versions(wb, theme.id)[0].id

    def refused(version_id: int, why: str) -> None:
        with pytest.raises(Conflict, match=why):
            version_changes.delete(wb, trainer, version_id)

    with pytest.raises(NotAllowed):
        version_changes.delete(wb, labeler, one)
    refused(one, r"Only archived versions .* archive 1\.0\.0 first")
    stages.promote(wb, trainer, one, "production", "first")
    refused(one, "Only archived versions")
    stages.promote(wb, admin, two, "production", "second", override="in a hurry")
    refused(one, "where a rollback leads")
    stages.promote(wb, admin, three, "production", "third", override="in a hurry")
    served = serving.deploy(wb, trainer, one)
    refused(one, "is deployed; stop")
    serving.stop(wb, trainer, served.id)
    plan = PLAN | {"versions": [three, one]}
    trial = trials.create(wb, trainer, theme.id, "Old against new", plan)
    refused(one, "part of the A/B test “Old against new”")
    trials.discard(wb, trainer, trial.id)
    version_changes.edit(wb, trainer, one, tags=["old"], semver="9.0.0")
    version_changes.delete(wb, trainer, one)

    assert [version.id for version in registry.versions(wb, theme.id)] == [three, two]
    assert ids(wb, tags=("old",)) == [] == version_lists.tags(wb)
    assert len(version_lists.choices(wb, theme.id)) == 2
    assert registry.of_run(wb, registry.get(wb, one, deleted=True).run_id) is None
    with pytest.raises(NotFound):
        registry.get(wb, one)
    with pytest.raises(NotFound):
        version_changes.delete(wb, trainer, one)
    with pytest.raises(NotFound):
        stages.promote(wb, trainer, one, "staging", "another look")
    with pytest.raises(NotFound):
        serving.deploy(wb, trainer, one)
    with pytest.raises(NotFound):
        model_benchmarks.add(wb, trainer, one, "noise", 0.5)
    assert len(ledger.entries(wb, version_id=one)) == 2 and ledger.verify(wb) == []
    assert ledger.newest(wb, 2, theme.id) == ledger.entries(wb)[:-3:-1] and not ledger.newest(
        wb, 2, theme.id + 1
    )
    with pytest.raises(Conflict, match=r"has or had a version 9\.0\.0 already; the next free one is 9\.1\.0"):
        version_changes.edit(wb, trainer, three, semver="9.0.0")
    duels.create(wb, trainer, theme_id=theme.id, versions=(three, two))
    stages.promote(wb, trainer, three, "archived", "all are bad")
    stages.promote(wb, trainer, two, "staging", "once more")
    stages.promote(wb, trainer, two, "archived", "no")
    refused(two, "part of duel")


def test_a_run_answers_its_version_or_says_why_it_has_none(wb: Workbench, trainer: auth.User) -> None:
    theme, [one, _two] = two_versions(wb, trainer)
    run_id = registry.get(wb, one).run_id
    assert version_changes.of_run(wb, run_id).id == one
    waiting = runs.start(wb, trainer, theme.id).id

    def now(**values: Any) -> None:
        row = finetuning_jobs.update().where(finetuning_jobs.c.id == waiting)
        wb.db.write(lambda connection: connection.execute(row.values(**values)) and None)

    with pytest.raises(NotFound):
        version_changes.of_run(wb, 999)
    for status, why in (
        ("running", "not finished; its model is registered by itself"),
        ("failed", "ended without a result"),
        ("succeeded", "brought none, or its version was deleted"),
    ):
        now(status=status)
        with pytest.raises(Conflict, match=why):
            version_changes.of_run(wb, waiting)
    now(kind="trial")
    with pytest.raises(Conflict, match="trial of a tuning"):
        version_changes.of_run(wb, waiting)


@pytest.fixture(params=["duckdb", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any table."""
    if request.param == "duckdb":
        db = Database(f"duckdb:///{tmp_path}/old.duckdb")
        yield db
        db.close()
        return
    with database(request.getfixturevalue("postgres_url")) as url:
        db = Database(url)
        yield db
        db.close()


def test_versions_of_before_get_numbers_in_their_order_and_what_their_runs_say(empty: Database) -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "core" / "db" / "migrations"))
    with empty.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0011")
        connection.commit()
    now = datetime.now(UTC)
    job = {
        "kind": "vision",
        "status": "succeeded",
        "attempt": 1,
        "created_by": 1,
        "created_at": now,
        "last_event": 0,
    }
    spec = {"labels": ["犬", "cat"], "params": {"model": {"architecture": "small_cnn", "weights": "default"}}}
    old = {
        "stage": "staging",
        "uri": "models:/a/1",
        "snapshot_hash": "0",
        "code": {},
        "metrics": {},
        "created_at": now,
    }

    def fill(connection: sa.Connection) -> None:
        for model_id in (1, 2):
            connection.execute(models.insert().values(id=model_id, name=f"m{model_id}", created_at=now))
        bulk_insert(connection, finetuning_jobs, [job | {"id": n, "spec": spec} for n in range(1, 6)])
        rows = [old | {"id": n, "run_id": n, "model_id": 1 + n % 2, "version": n} for n in range(1, 6)]
        bulk_insert(connection, model_registry, rows)

    empty.write(fill)
    upgrade(empty)
    table = model_registry.c
    query = sa.select(table.id, table.major, table.minor, table.patch, table.kind, table.architecture,
                      table.weights, table.labels, table.description, table.deleted_at)  # fmt: skip
    with empty.read() as connection:
        found = [tuple(row) for row in connection.execute(query.order_by(table.id))]
    said = ("vision", "small_cnn", "default", ["犬", "cat"], "", None)
    assert found == [(n, 1, minor, 0, *said) for n, minor in ((1, 0), (2, 0), (3, 1), (4, 1), (5, 2))]
