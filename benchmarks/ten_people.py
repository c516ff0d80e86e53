"""Ten people label single images at once, 100,000 in the theme: milliseconds until an act is on disk.

    python -m benchmarks.ten_people

One act in twenty is sent twice at the same time. At the end the app is killed, and what its database file holds
is held against what was answered. Prints a table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import numpy as np
import sqlalchemy as sa

from benchmarks.app_process import App, running_app
from benchmarks.many_images import fill
from core import auth
from core.db.tables import label_actions, label_history, train_data
from core.settings import Settings
from core.workbench import Workbench

IMAGES = 100_000
PEOPLE = 10
SECONDS = 20
ACTS_A_SECOND = 4
"""Of one person who is quick; the waits between acts vary by half."""
TWICE = 20
"""One act in so many is sent twice."""
TARGET_MS = 150


@dataclass(frozen=True)
class Prepared:
    theme: int
    labels: list[int]
    unlabelled: list[int]
    tokens: list[str]
    settings: Settings


@dataclass
class Person:
    http: httpx.Client
    spare: httpx.Client
    """A second connection, as of a browser that sends again."""
    todo: list[int]
    """Images that nobody labelled yet, so each act writes exactly one entry of history."""
    chosen: random.Random
    ms: list[float] = field(default_factory=list)
    answered: dict[str, tuple[int, int]] = field(default_factory=dict)
    """(image, label) by act."""
    again: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="not needed here; the rows are made")
    parser.parse_args()
    figures: dict[str, object] = {"benchmark": "ten_people", "images": IMAGES, "people": PEOPLE}
    with running_app(prepare) as app:
        people = [_person(app, number) for number in range(PEOPLE)]
        with ThreadPoolExecutor(1) as other:
            first = act(app.prepared, people[0], other)
        figures["first_act_ms"] = round(first)
        print(f"first act after the app's start (it loads pandas): {first:.0f} ms, not in the table")
        print(
            f"{'pace':20} {'acts':>6} {'a second':>8} {'p50 ms':>7} {'p95 ms':>7} {'max ms':>7} {'target':>7}"
        )
        for name, key, pace in (
            (f"{ACTS_A_SECOND} a second each", "paced", ACTS_A_SECOND),
            ("without pause", "unpaused", None),
        ):
            times, seconds = together(app.prepared, people, pace)
            p50, p95 = np.percentile(times, [50, 95])
            print(
                f"{name:20} {len(times):6,} {len(times) / seconds:8.0f} {p50:7.1f} {p95:7.1f} {max(times):7.1f}"
                f" {'≤ ' + str(TARGET_MS):>7}"
            )
            figures |= {f"{key}_p50_ms": round(float(p50), 1), f"{key}_p95_ms": round(float(p95), 1)}
            figures |= {f"{key}_acts_per_s": round(len(times) / seconds, 1)}
        app.process.kill()
        app.process.wait()
        found = compare(app.prepared, people)
    print(
        f"acts {found['acts']:,}, sent twice {found['sent_twice']:,}, lost {found['lost']}, doubled {found['doubled']}"
    )
    print(json.dumps(figures | found))


def prepare(wb: Workbench, admin: auth.User) -> Prepared:
    theme, _ = fill(wb, admin, IMAGES)
    people = [
        auth.create_user(wb, admin, f"person {n}", "benchmark of ten people", auth.LABELER)
        for n in range(PEOPLE)
    ]
    tokens = [auth.issue_token(wb, person, "benchmark") for person in people]
    with wb.db.read() as connection:
        query = sa.select(train_data.c.id).where(
            train_data.c.theme_id == theme.id, train_data.c.label_id.is_(None)
        )
        unlabelled = sorted(connection.execute(query).scalars())
    return Prepared(theme.id, [label.id for label in theme.labels], unlabelled, tokens, wb.settings)


def _person(app: App[Prepared], number: int) -> Person:
    http, spare = (
        httpx.Client(
            base_url=f"{app.url}/api",
            headers={"Authorization": f"Bearer {app.prepared.tokens[number]}"},
            timeout=60,
        )
        for _ in range(2)
    )
    chosen = random.Random(number)
    todo = app.prepared.unlabelled[number::PEOPLE]
    chosen.shuffle(todo)
    return Person(http, spare, todo, chosen)


def together(prepared: Prepared, people: list[Person], pace: int | None) -> tuple[list[float], float]:
    """All of them for SECONDS: milliseconds of each act, and seconds until the last was answered."""
    for person in people:
        person.ms.clear()
    start = threading.Barrier(len(people))

    def work(person: Person) -> None:
        start.wait()
        label_images(prepared, person, pace)

    began = time.perf_counter()
    with ThreadPoolExecutor(len(people)) as pool:
        list(pool.map(work, people))
    return [ms for person in people for ms in person.ms], time.perf_counter() - began


def label_images(prepared: Prepared, person: Person, pace: int | None) -> None:
    end = time.perf_counter() + SECONDS
    due = time.perf_counter()
    with ThreadPoolExecutor(1) as other:
        while time.perf_counter() < end:
            if pace:
                due += person.chosen.uniform(0.5, 1.5) / pace
                time.sleep(max(0.0, due - time.perf_counter()))
            person.ms.append(act(prepared, person, other))


def act(prepared: Prepared, person: Person, other: ThreadPoolExecutor) -> float:
    """Label one image; milliseconds until the answer. Raises RuntimeError unless just one image changed."""
    path = f"/theme/{prepared.theme}/label/actions/"
    name, image, label = uuid.uuid4().hex, person.todo.pop(), person.chosen.choice(prepared.labels)
    body = {"actions": [{"id": name, "changes": [[image, label]], "seconds": 1.0}]}
    twice = person.chosen.randrange(TWICE) == 0
    second = other.submit(person.spare.post, path, json=body) if twice else None
    began = time.perf_counter()
    answers = [person.http.post(path, json=body)]
    ms = (time.perf_counter() - began) * 1000
    if second:
        answers.append(second.result())
        person.again += 1
    updated = sum(answer.raise_for_status().json()["done"][0]["updated"] for answer in answers)
    if updated != 1:
        raise RuntimeError(f"one act changed {updated} images")
    person.answered[name] = (image, label)
    return ms


def compare(prepared: Prepared, people: list[Person]) -> dict[str, int]:
    """What was answered against the database of the killed app."""
    answered = {act: what for person in people for act, what in person.answered.items()}
    entry, image = label_history.c, train_data.c
    wb = Workbench.open(prepared.settings)
    with wb.db.read() as connection:
        entries = connection.execute(sa.select(entry.action_id, entry.image_id, entry.to_label_id)).all()
        labels = {i: label for i, label in connection.execute(sa.select(image.id, image.label_id))}
        known = set(connection.execute(sa.select(label_actions.c.id)).scalars())
    wb.close()
    history = {act: (i, label) for act, i, label in entries}
    lost = sum(
        history.get(act) != (i, label) or labels[i] != label or act not in known
        for act, (i, label) in answered.items()
    )
    return {
        "acts": len(answered),
        "sent_twice": sum(person.again for person in people),
        "lost": lost,
        "doubled": len(entries) - len(history),
    }


if __name__ == "__main__":
    main()
