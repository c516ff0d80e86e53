"""Answers through a test: the exposure first, then the variant's own model, and the log whatever happens."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from pictures import png

from core import auth, images, serving
from core.ab import analysis, gateway, interactions, lost, trials
from core.db.tables import ab_exposures
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound, Unavailable
from core.gateway import observed
from core.gateway.observed import Observed
from core.serving_protocol import SEEN_KEY
from core.workbench import Workbench
from tests.core.ab.rig import started
from tests.core.test_serving import ModelServer

pytestmark = pytest.mark.usefixtures("fixed_salt")


@pytest.fixture
def servers() -> Iterator[list[ModelServer]]:
    found = [ModelServer(), ModelServer()]
    threads = [threading.Thread(target=server.serve_forever) for server in found]
    for thread in threads:
        thread.start()
    yield found
    for server, thread in zip(found, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


def up(wb: Workbench, actor: auth.User, trial: trials.Trial, servers: list[ModelServer]) -> None:
    for version_id, server in zip(trial.plan.versions, servers, strict=True):
        made = serving.deploy(wb, actor, version_id)
        state = {"status": "up", "url": server.url, "detail": None}
        wb.broker.hset(SEEN_KEY, str(made.id), json.dumps(state))
    serving.sync(wb)


def test_each_user_is_answered_by_the_own_variant_and_logged(
    wb: Workbench, trainer: auth.User, viewer: auth.User, servers: list[ModelServer]
) -> None:
    trial = started(wb, trainer, coverage=0.5)
    image = ("photo.png", png(1))
    with pytest.raises(Conflict, match="not deployed"):
        gateway.answer(wb, viewer, trial.id, "ada", image)
    up(wb, trainer, trial, servers)
    seen: list[Observed] = []
    observed.listeners.append(seen.append)
    answers = {f"u{n}": gateway.answer(wb, viewer, trial.id, f"u{n}", image, key=f"k{n}") for n in range(24)}
    observed.listeners.remove(seen.append)
    assert [each.status for each in seen] == [200] * 24
    asked = [len(server.sent) for server in servers]
    variants = [each.variant for each in answers.values()]
    assert set(variants) == {"A", "B", None}  # None takes no part and gets A, unlogged
    assert asked == [variants.count("A") + variants.count(None), variants.count("B")]
    logged = interactions.logged(wb, trial.id)
    assert len(logged) == variants.count("A") + variants.count("B")
    assert all(row["response"] == "cat" and row["response_time_ms"] > 0 for row in logged)
    interactions.rate(wb, trial.id, next(key for key in (row["key"] for row in logged)), 5)


def test_a_model_that_fails_counts_as_an_error_of_its_variant(
    wb_duckdb: Workbench, trainer: auth.User, viewer: auth.User, servers: list[ModelServer]
) -> None:
    wb = wb_duckdb
    trial = started(wb, trainer)
    up(wb, trainer, trial, servers)
    servers[1].status = 500
    failed = 0
    for n in range(12):
        try:
            gateway.answer(wb, viewer, trial.id, f"u{n}", ("photo.png", png(1)))
        except Unavailable:
            failed += 1
    arms = {arm.name: arm for arm in analysis.results(wb, trial).arms}
    assert failed == arms["B"].interactions > 0
    assert (arms["A"].error_rate, arms["B"].error_rate) == (0, 1)
    with wb.db.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(ab_exposures)).scalar() == 12


def test_who_was_asked_gets_the_answer_though_the_test_ends_and_bad_rows_are_not_asked(
    wb: Workbench,
    trainer: auth.User,
    viewer: auth.User,
    servers: list[ModelServer],
    caplog: pytest.LogCaptureFixture,
) -> None:
    trial = started(wb, trainer, segments=["country"])
    up(wb, trainer, trial, servers)
    image = ("photo.png", png(1))
    for key, name, segments in (
        ("k\0", "p.png", None),
        ("k", "p\0.png", None),
        ("k", "p.png", {"planet": "Mars"}),
    ):
        with pytest.raises(InvalidInput):
            gateway.answer(wb, viewer, trial.id, "ada", (name, png(1)), key=key, segments=segments)
    assert not servers[0].sent and not servers[1].sent
    for server in servers:
        server.meanwhile = lambda: trials.end(wb, trainer, trial.id, trials.STOPPED, "enough")
    found = gateway.answer(wb, viewer, trial.id, "ada", image, key="late")
    assert found.prediction.label == "cat" and found.variant in ("A", "B")
    assert interactions.logged(wb, trial.id) == [] and "interaction late of" in caplog.text
    with pytest.raises(Conflict, match="not running"):
        gateway.answer(wb, viewer, trial.id, "ada", image)


def test_images_that_a_variant_lost_go_to_labelling_once_and_say_where_from(
    wb: Workbench, trainer: auth.User, labeler: auth.User, servers: list[ModelServer]
) -> None:
    trial = started(wb, trainer)
    up(wb, trainer, trial, servers)
    asked = {f"k{n}": png(40 + n % 9) for n in range(12)}  # some are asked twice
    arms: dict[str, str] = {}
    for n, (key, data) in enumerate(asked.items()):
        found = gateway.answer(wb, trainer, trial.id, f"u{n}", (f"p{n}.png", data), key=key)
        arms[key] = str(found.variant)
        interactions.rate(wb, trial.id, key, 1 if n % 2 else 5)
    bad = [key for n, key in enumerate(asked) if n % 2 and arms[key] == "B"]
    assert bad and "A" in arms.values()
    interactions.log(
        wb, trial.id, [{"unit": "alone", "variant": "B", "rating": 2, "query": "=1+1", "key": "text"}]
    )
    rows = lost.conversations(wb, trial.id, "B")
    assert {row["key"]: row["image"] for row in rows} == {"text": False} | dict.fromkeys(bad, True)
    assert "'=1+1" in lost.as_csv(rows) and lost.as_jsonl(rows).count("\n") == len(rows)
    known = images.add(wb, trainer, trial.theme_id, [("mine.png", asked[bad[0]])])
    assert known.added == 1
    with pytest.raises(NotAllowed):
        lost.to_labelling(wb, labeler, trial.id, "B")
    before = images.statistics(wb, trial.theme_id)
    fresh = len({asked[key] for key in bad}) - 1
    sent = lost.to_labelling(wb, trainer, trial.id, "B")
    assert (sent.added, sent.known, sent.without, sent.refused) == (fresh, len(bad) - fresh, 1, 0)
    after = images.statistics(wb, trial.theme_id)
    assert (after.total, after.unlabelled) == (before.total + fresh, before.unlabelled + fresh)
    flagged = images.page(wb, trial.theme_id, images.Filter(flagged=True)).items
    assert len(flagged) == fresh
    hashes = {hashlib.sha256(asked[key]).hexdigest() for key in bad}
    for image in flagged:
        assert image.label_id is None and image.sha256 in hashes and image.flag_note is not None
        assert "B against A" in image.flag_note
        assert "B answered “cat” and got 1 of 5 stars" in image.flag_note
    again = lost.to_labelling(wb, trainer, trial.id, "B")
    assert (again.added, again.known) == (0, len(bad))
    assert images.statistics(wb, trial.theme_id).total == after.total


def test_where_programs_log_texts_there_is_nothing_to_label(wb_duckdb: Workbench, trainer: auth.User) -> None:
    wb = wb_duckdb
    trial = started(wb, trainer)
    interactions.log(wb, trial.id, [{"unit": "u", "variant": "B", "rating": 1, "query": "Why?"}])
    with pytest.raises(InvalidInput, match="Download the conversations instead"):
        lost.to_labelling(wb, trainer, trial.id, "B")
    with pytest.raises(NotFound, match="not a variant"):
        lost.conversations(wb, trial.id, "Z")
