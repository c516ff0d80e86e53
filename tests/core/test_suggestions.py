"""Suggestions: asked for once, applied without touching a label, counted against what people then say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from core import auth, events, images, queue, registry, run_watch, runs, suggestion_jobs, suggestions, themes
from core.db.tables import finetuning_jobs, label_actions, train_data
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from core.events import Event, Status, Type
from core.spec import SuggestSpec
from core.workbench import Workbench
from tests.suggesting import Bench, made, trained


@pytest.fixture
def bench(_bench: Workbench, trainer: auth.User) -> Bench:
    return made(_bench, trainer)


def test_a_job_gets_every_live_image_and_waits_in_the_queue(
    wb: Workbench, bench: Bench, labeler: auth.User
) -> None:
    version = bench.register()
    gone = bench.ids()[0]
    images.delete(wb, labeler, bench.theme.id, [gone])
    themes.update_label(wb, bench.actor, bench.theme.id, bench.theme.labels[0].id, name="kitten")
    run_id = suggestions.start(wb, labeler, bench.theme.id)
    spec = SuggestSpec.model_validate(bench.job(run_id)["spec"])
    assert (spec.run_id, spec.version.id, spec.version.uri) == (run_id, version.id, version.uri)
    assert (spec.labels, spec.label_ids) == (("cat", "dog"), tuple(label.id for label in bench.theme.labels))
    with wb.files.open(spec.manifest) as file:
        table = pq.read_table(file)
    assert table["image_id"].to_pylist() == bench.ids()[1:]
    assert table["label_id"].null_count == 16
    assert queue.state(wb, f"run-{run_id}-1") == "queued"
    assert suggestions.state(wb, bench.theme.id).running
    with pytest.raises(Conflict, match="being made already"):
        suggestions.start(wb, labeler, bench.theme.id)


def test_what_cannot_be_asked_for_is_refused_in_a_sentence(
    wb: Workbench, bench: Bench, labeler: auth.User, viewer: auth.User
) -> None:
    theme_id = bench.theme.id
    with pytest.raises(InvalidInput, match="“Animals” has no trained model yet"):
        suggestions.start(wb, labeler, theme_id)
    version = bench.register()
    with pytest.raises(NotAllowed):
        suggestions.start(wb, viewer, theme_id)
    other = themes.create(wb, bench.actor, name="Other")
    with pytest.raises(NotFound, match="in this theme"):
        suggestions.start(wb, labeler, other.id, version.id)
    with pytest.raises(NotFound):
        suggestions.state(wb, 999)
    images.delete(wb, labeler, theme_id, bench.ids())
    with pytest.raises(InvalidInput, match="has no images"):
        suggestions.start(wb, labeler, theme_id)
    themes.delete_label(wb, bench.actor, theme_id, bench.theme.labels[1].id)
    with pytest.raises(InvalidInput, match="labels that are deleted now: dog"):
        suggestions.start(wb, labeler, theme_id)


def test_a_result_is_applied_once_and_for_all_without_touching_a_label(wb: Workbench, bench: Bench) -> None:
    version = bench.register()
    cat, dog = (label.id for label in bench.theme.labels)
    run_id = suggestions.start(wb, bench.actor, bench.theme.id)
    unlabelled = bench.ids("unlabelled")
    images.label(wb, bench.actor, bench.theme.id, [(unlabelled[0], dog)])  # meanwhile
    images.delete(wb, bench.actor, bench.theme.id, [unlabelled[1]])
    labelled = {row[0]: row[1] for row in bench.stored()}
    stamped = {row[0]: row[9] for row in bench.stored()}
    rows = [
        {
            "image_id": i, "label_id": cat, "confidence": 0.75, "margin": 0.5,
            "embedding": b"\x7f" * 64, "teach_rank": None, "sweep_rank": i,
        }
        for i in bench.ids()
    ]  # fmt: skip
    bench.finish(run_id, rows)
    assert suggestions.state(wb, bench.theme.id).running, "told, but not applied yet"
    suggestion_jobs.tend(wb)
    applied = bench.stored()
    for image_id, label_id, *rest in applied:
        assert label_id == labelled[image_id]
        if image_id == unlabelled[1]:
            assert rest[:4] == [None] * 4, "a deleted image stays as it was"
        else:
            assert rest[:4] == [cat, 0.75, 0.5, version.id]
            assert rest[6] == image_id and rest[8:] == [b"\x7f" * 64, version.id]
    assert {row[0]: row[9] for row in applied} == stamped, "no image was changed by a person"

    result = {**bench.job(run_id)["result"]}
    assert (result["applied"], result["done"]) == (6, "applied")
    fresh = {name: result[name] for name in result if name not in ("applied", "done")}
    wb.db.write(
        lambda c: c.execute(
            finetuning_jobs.update().where(finetuning_jobs.c.id == run_id).values(result=fresh)
        )
    )
    suggestions.ingest(wb, run_id)
    assert bench.stored() == applied, "applied a second time"


def test_labels_by_hand_confirm_or_overrule(wb: Workbench, bench: Bench, labeler: auth.User) -> None:
    version = bench.register()
    cat, dog = (label.id for label in bench.theme.labels)
    theme_id = bench.theme.id
    nothing = suggestions.state(wb, theme_id)
    assert (nothing.version, nothing.at, nothing.n_suggested, nothing.running) == (None, None, 0, False)
    bench.suggest(lambda _: cat)
    a, b, c, d, *_ = bench.ids("unlabelled")
    images.label(wb, labeler, theme_id, [(a, cat), (b, cat), (c, dog)])
    images.label(wb, labeler, theme_id, [(d, cat)], source="suggestion")
    state = suggestions.state(wb, theme_id)
    assert (state.version_id, state.version, state.n_suggested) == (version.id, 3, 40)
    assert (state.confirmed, state.overruled, state.running, state.error) == (2, 1, False, None)


def test_an_older_job_does_not_undo_a_newer_one(wb: Workbench, bench: Bench) -> None:
    bench.register()
    cat, dog = (label.id for label in bench.theme.labels)
    older = suggestions.start(wb, bench.actor, bench.theme.id)
    wb.db.write(
        lambda c: c.execute(
            finetuning_jobs.update().where(finetuning_jobs.c.id == older).values(status="failed")
        )
    )
    rows = bench.suggest(lambda _: dog)
    kept = bench.stored()
    bench.finish(older, [{**row, "label_id": cat} for row in rows])
    suggestion_jobs.tend(wb)
    assert bench.job(older)["result"]["done"] == "superseded"
    assert bench.stored() == kept


def test_a_result_that_is_not_there_is_told_and_not_tried_for_ever(wb: Workbench, bench: Bench) -> None:
    bench.register()
    run_id = suggestions.start(wb, bench.actor, bench.theme.id)
    lost = {"suggestions": "suggestions/no/such.parquet", "version_id": 1, "at": "2026-01-01T00:00:00+00:00"}
    bench.tell(run_id, (Type.RESULT, lost), (Type.STATUS, {"status": "succeeded"}))
    suggestion_jobs.tend(wb)
    state = suggestions.state(wb, bench.theme.id)
    assert not state.running and state.error and "cannot be read or written" in state.error["message"]
    suggestions.start(wb, bench.actor, bench.theme.id)


def test_a_job_is_stopped_before_and_while_it_runs(wb: Workbench, bench: Bench, labeler: auth.User) -> None:
    bench.register()
    waiting = suggestions.start(wb, labeler, bench.theme.id)
    suggestions.cancel(wb, labeler, bench.theme.id)
    assert bench.job(waiting)["status"] == Status.CANCELLED
    running = suggestions.start(wb, labeler, bench.theme.id)
    assert queue.withdraw(wb, f"run-{running}-1"), "as a worker takes it"
    suggestions.cancel(wb, labeler, bench.theme.id)
    assert wb.broker.get(events.control_key(running)) == b"cancel"
    assert suggestions.state(wb, bench.theme.id).running


def test_a_registered_version_suggests_by_itself_once(wb: Workbench, bench: Bench) -> None:
    def jobs() -> list[Any]:
        return run_watch.rows_where(wb, finetuning_jobs.c.kind == "suggest")

    bench.tell(bench.run.id, *trained(bench.theme.id))
    [noted] = jobs()
    assert noted["rq_job_id"] is None, "noted with the version, before anything else can go wrong"
    bench.collector.store([Event(bench.run.id, 9, 1, datetime.now(UTC), *trained(bench.theme.id)[0])])
    for _ in range(2):  # as another app process, and again
        suggestion_jobs.tend(wb)
    [job] = jobs()
    spec = SuggestSpec.model_validate(job["spec"])
    assert (spec.version.id, spec.created_by) == (registry.versions(wb)[0].id, "trainer")
    assert queue.state(wb, job["rq_job_id"]) == "queued"
    # Training's screens know nothing of it.
    assert [run.id for run in runs.history(wb, bench.theme.id)] == [bench.run.id]
    with pytest.raises(NotFound):
        runs.get(wb, job["id"])
    [card] = themes.cards(wb)
    assert card.last_run is not None and card.last_run.id == bench.run.id
    assert themes.what_goes(wb, bench.theme.id)["runs"] == 1
    themes.delete(wb, bench.actor, bench.theme.id, confirm_name="Animals")


def test_a_version_whose_labels_are_gone_does_not_suggest_by_itself(wb: Workbench, bench: Bench) -> None:
    themes.delete_label(wb, bench.actor, bench.theme.id, bench.theme.labels[1].id)
    bench.tell(bench.run.id, *trained(bench.theme.id))
    suggestion_jobs.tend(wb)
    state = suggestions.state(wb, bench.theme.id)
    assert not state.running and state.error and "deleted now: dog" in state.error["message"]


def audit_slice(wb: Workbench, ids: list[int], inside: list[int]) -> None:
    """Let exactly the images `inside` be in the audit's slice."""
    column = train_data.c
    in_slice, digest = column.id.in_(inside), sa.func.substr(column.sha256, 3)

    def work(connection: sa.Connection) -> None:
        for where, head in ((in_slice, "07"), (~in_slice, "08")):
            connection.execute(
                train_data.update()
                .where(column.id.in_(ids), where)
                .values(sha256=sa.literal(head).concat(digest))
            )

    wb.db.write(work)


def test_only_sure_suggestions_of_unlabelled_images_outside_the_audit_are_accepted(
    wb: Workbench, bench: Bench, labeler: auth.User, viewer: auth.User
) -> None:
    bench.register()
    cat, dog = (label.id for label in bench.theme.labels)
    theme_id, everything = bench.theme.id, bench.ids()
    a, b, c, d, *rest = unlabelled = bench.ids("unlabelled")
    audit_slice(wb, everything, [a])
    bench.suggest(lambda i: dog if i == c else cat, 0.97)
    wb.db.write(
        lambda connection: connection.execute(
            train_data.update().where(train_data.c.id == b).values(suggested_confidence=0.949)
        )
    )
    images.label(wb, labeler, theme_id, [(d, dog)])
    labelled = {row[0]: row[1] for row in bench.stored() if row[1] is not None}
    before = suggestions.preview(wb, theme_id, [*everything, c])
    assert before.by_label == {cat: len(rest), dog: 1}
    assert before.excluded == len(everything) - len(rest) - 1
    with pytest.raises(NotAllowed):
        suggestions.accept(wb, viewer, theme_id, everything, action_id="act")
    assert suggestions.accept(wb, labeler, theme_id, everything, action_id="act") == len(rest) + 1
    now = {row[0]: row[1] for row in bench.stored()}
    assert now == {
        **dict.fromkeys(unlabelled),
        **labelled,
        c: dog,
        **dict.fromkeys(rest, cat),
        a: None,
        b: None,
    }
    [change] = images.history(wb, c)
    assert (change.user, change.after, change.source) == ("labeler", "dog", "suggestion")

    images.label(wb, labeler, theme_id, [(c, None)])
    assert suggestions.accept(wb, labeler, theme_id, everything, action_id="act") == 0, "came a second time"
    with wb.db.read() as connection:
        assert connection.execute(sa.select(label_actions.c.images)).scalars().all() == [len(rest) + 1]
    assert suggestions.accept(wb, labeler, theme_id, everything, 0.9, action_id="other") == 2
    state = suggestions.state(wb, theme_id)
    assert (state.confirmed, state.overruled) == (0, 1), "bulk acceptance confirms nothing"


def test_suggestions_of_a_deleted_label_are_not_accepted(
    wb: Workbench, bench: Bench, labeler: auth.User
) -> None:
    bench.register()
    cat = bench.theme.labels[0].id
    bench.suggest(lambda _: cat)
    themes.delete_label(wb, bench.actor, bench.theme.id, cat)
    assert suggestions.preview(wb, bench.theme.id, bench.ids()).by_label == {}
    assert suggestions.accept(wb, labeler, bench.theme.id, bench.ids(), action_id="act") == 0


def test_what_cannot_be_accepted_is_refused_in_a_sentence(
    wb: Workbench, bench: Bench, labeler: auth.User
) -> None:
    theme_id = bench.theme.id
    with pytest.raises(InvalidInput, match="too many"):
        suggestions.preview(wb, theme_id, range(1, images.MAX_CHANGES + 2))
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(InvalidInput, match="not between 0 and 1"):
            suggestions.accept(wb, labeler, theme_id, [1], wrong, action_id="act")
    for wrong_id in ("", "x" * 37):
        with pytest.raises(InvalidInput, match="1 to 36 characters"):
            suggestions.accept(wb, labeler, theme_id, [1], action_id=wrong_id)
    with pytest.raises(NotFound):
        suggestions.preview(wb, 999, [1])
    with pytest.raises(NotFound):
        suggestions.accept(wb, labeler, 999, [1], action_id="act")


def test_accuracy_is_measured_on_the_audit_alone(wb: Workbench, bench: Bench, labeler: auth.User) -> None:
    bench.register()
    cat, dog = (label.id for label in bench.theme.labels)
    theme_id, everything = bench.theme.id, bench.ids()
    unlabelled = bench.ids("unlabelled")
    seen = next(row[0] for row in bench.stored() if row[1] == dog)  # in the training
    early, inside, outside = unlabelled[0], unlabelled[1:11], unlabelled[11:]
    audit_slice(wb, everything, [seen, early, *inside])
    images.label(wb, labeler, theme_id, [(early, dog)])
    assert suggestions.audit(wb, theme_id) == suggestions.Audit(0, 0, 0.0, 1.0)
    bench.suggest(lambda _: cat)
    images.label(wb, labeler, theme_id, [(seen, cat), *((i, cat) for i in outside)])
    images.label(wb, labeler, theme_id, [(i, cat if n < 8 else dog) for n, i in enumerate(inside)])
    found = suggestions.audit(wb, theme_id)
    assert (found.n, found.right) == (10, 8)
    z, n, share = 1.959963985, 10, 0.8  # Wilson (1927), in closed form
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half))
