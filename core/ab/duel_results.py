"""Stored. The results of a duel as plain data: what the screen and REST show, the same numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

import sqlalchemy as sa

from core import agreement, auth, registry
from core.ab import analysis, duel, duel_words, judging, trials, verdict
from core.ab.duel import Preference
from core.ab.duels import Duel
from core.ab.judging import TIE, A, B
from core.db.tables import ab_duel_items, ab_duel_judgements, ab_duels, train_data, users
from core.errors import InvalidInput, NotFound
from core.i18n import gettext as _
from core.workbench import Workbench

Plain = dict[str, Any]
_CODES = {A: 0, TIE: 1, B: 2}


def make(wb: Workbench, actor: auth.User, duel_id: int) -> Plain:
    """The results, in the reader's language; seeing those of an open duel is remembered.

    Raises NotFound, and NotAllowed while this person must stay blind.
    """
    found = judging.look(wb, actor, duel_id)
    with wb.db.read() as connection:
        salt = str(
            connection.execute(sa.select(ab_duels.c.salt).where(ab_duels.c.id == duel_id)).scalar_one()
        )
        items = connection.execute(_items(duel_id)).mappings().all()
        given = connection.execute(_judgements(duel_id)).mappings().all()
    by_item: dict[int, Counter[str]] = {}
    for row in given:
        by_item.setdefault(row["number"], Counter())[row["choice"]] += 1
    preferred = _preference(by_item)
    totals = Counter(row["choice"] for row in given)
    same = sum(1 for item in items if item["same"])
    versions = registry.by_id(wb, {found.version_a, found.version_b})
    versus = duel_words.against(preferred, _live(wb, found), found.variant)
    return {
        "duel": {
            "id": found.id,
            "test_id": found.test_id,
            "status": found.status,
            "model_a": _("version {n}").format(n=versions[found.version_a].version),
            "model_b": _("version {n}").format(n=versions[found.version_b].version),
            "variant": found.variant,
            "sample": found.sample,
        },
        "sentence": duel_words.sentence(preferred, len(items), same, found.variant),
        "reason": duel_words.reason(preferred, len(items), same, totals[TIE], len(given)),
        "preference": _plain(preferred),
        "counts": {
            "items": len(items),
            "same": same,
            "judged_items": len(by_item),
            "judgements": len(given),
            "a": totals[A],
            "tie": totals[TIE],
            "b": totals[B],
        },
        "agreement": _agreement(given),
        "live_test": {"state": versus.state, "sentence": versus.sentence} if versus else None,
        "judges": _judges(given, salt),
        "items": [_item(item, by_item.get(item["number"], Counter())) for item in items],
    }


def _items(duel_id: int) -> sa.Select[Any]:
    return (
        sa.select(ab_duel_items, train_data.c.sha256)
        .select_from(ab_duel_items.outerjoin(train_data, train_data.c.id == ab_duel_items.c.image_id))
        .where(ab_duel_items.c.duel_id == duel_id)
        .order_by(ab_duel_items.c.number)
    )


def _judgements(duel_id: int) -> sa.Select[Any]:
    table = ab_duel_judgements.c
    return (
        sa.select(table.number, table.user_id, table.choice, table.seconds, users.c.name)
        .select_from(ab_duel_judgements.join(users, users.c.id == table.user_id))
        .where(table.duel_id == duel_id)
        .order_by(table.user_id, table.number)
    )


def _preference(by_item: dict[int, Counter[str]]) -> Preference | None:
    try:
        return duel.preference((n[A], n[TIE], n[B]) for n in by_item.values())
    except InvalidInput:
        return None


def _plain(found: Preference | None) -> Plain | None:
    if found is None:
        return None
    points = [value if math.isfinite(value) else None for value in found.elo]
    return {
        "items": found.items,
        "win": found.win,
        "low": found.low,
        "high": found.high,
        "winner": found.winner,
        "elo": points[0],
        "elo_low": points[1],
        "elo_high": points[2],
    }


def _agreement(given: Sequence[Any]) -> Plain:
    votes: dict[int, dict[int, int]] = {}
    for row in given:
        votes.setdefault(row["number"], {})[row["user_id"]] = _CODES[row["choice"]]
    shared = {number: said for number, said in votes.items() if len(said) >= 2}
    alike = sum(len(set(said.values())) == 1 for said in shared.values())
    judges = len({row["user_id"] for row in given})
    pairs = agreement.pairs(shared)
    cohen = pairs[0].kappa if judges == 2 and pairs else None
    krippendorff = agreement.krippendorff(shared)
    return {
        "items": len(shared),
        "alike": alike,
        "cohen": cohen,
        "krippendorff": krippendorff,
        "sentence": duel_words.agreement(len(shared), alike, cohen if judges == 2 else krippendorff, judges),
    }


def _judges(given: Sequence[Any], salt: str) -> list[Plain]:
    """What each person did; one who nearly always takes the left side does not look."""
    found: dict[int, list[Any]] = {}
    for row in given:
        found.setdefault(row["user_id"], []).append(row)
    return [
        {
            "name": rows[0]["name"],
            "judged": len(rows),
            "a": sum(row["choice"] == A for row in rows),
            "tie": sum(row["choice"] == TIE for row in rows),
            "b": sum(row["choice"] == B for row in rows),
            "left": sum(
                (row["choice"] == A) == duel.a_is_left(salt, row["number"], person)
                for row in rows
                if row["choice"] != TIE
            ),
            "seconds": median(times)
            if (times := [row["seconds"] for row in rows if row["seconds"] is not None])
            else None,
        }
        for person, rows in sorted(found.items(), key=lambda each: -len(each[1]))
    ]


def _item(item: Any, said: Counter[str]) -> Plain:
    found = {
        name: item[name]
        for name in (
            "number", "image_id", "query", "answer_a", "answer_b", "confidence_a", "confidence_b", "same",
        )
    }  # fmt: skip
    return found | {
        "thumb": f"/api/thumbs/{item['sha256']}.webp" if item["sha256"] else None,
        "a": said[A],
        "tie": said[TIE],
        "b": said[B],
    }


def _live(wb: Workbench, found: Duel) -> duel_words.Live | None:
    """The live test's verdict on this variant: the sealed one of an ended test, else that of now."""
    if found.test_id is None:
        return None
    try:
        trial = trials.get(wb, found.test_id)
    except NotFound:  # a draft that was thrown away
        return None
    primary = trial.plan.primary
    if trial.phase is None:
        return duel_words.Live(None, primary)
    sealed = (trial.outcome or {}).get("verdict")
    if sealed and (sealed["kind"] == verdict.BROKEN or sealed["variant"] == found.variant):
        judged = verdict.Verdict(sealed["kind"], sealed["reason"], sealed["variant"], sealed["fields"])
    else:
        results = analysis.results(wb, trial)
        judged = verdict.judge(results)
        if judged.kind != verdict.BROKEN:
            against = next(each for each in results.against if each.name == found.variant)
            judged = verdict.judge_one(results, against)
    guardrail = judged.fields["metric"] if judged.reason == "guardrail" else None
    return duel_words.Live(judged.kind, primary, guardrail)
