"""Ten people label at once and the app is killed under them: every answer that came stands."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pictures import png, zipped

from tests.app import App

WRITERS = 10
ANSWERED = 150
"""Actions before the kill."""


@pytest.fixture
def killable(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[App]:
    app = App(tmp_path_factory.mktemp("killable"), broker_url)
    app.start()
    app.first_run()
    yield app
    app.stop()


@pytest.mark.timeout(240)
def test_ten_writers_and_a_kill_lose_and_double_nothing(killable: App) -> None:
    http = killable.admin
    made = http.post(
        "/api/theme/create/", json={"name": "T", "labels": [f"label {n}" for n in range(5)]}
    ).json()
    theme, names = made["id"], {label["name"]: label["id"] for label in made["labels"]}
    labels = list(names.values())
    pictures = zipped({f"{n}.png": png(n, (8, 8)) for n in range(100)})
    http.post(f"/api/theme/{theme}/images/upload/", files={"files": ("all.zip", pictures)}, timeout=120)
    items = http.get(f"/api/theme/{theme}/images/", params={"limit": 1000}).json()["items"]
    ids = sorted(item["id"] for item in items)
    assert len(ids) == 100
    sent: list[list[dict[str, Any]]] = [[] for _ in range(WRITERS)]
    answered = threading.Semaphore(0)

    def write(number: int) -> None:
        # Each has images of their own, so what must stand does not depend on who was quicker.
        chosen = random.Random(number)
        client = httpx.Client(base_url=killable.url, cookies=http.cookies, timeout=10)
        try:
            while True:
                changes = [(image, chosen.choice(labels)) for image in chosen.sample(ids[number::WRITERS], 3)]
                sent[number].append({"id": uuid.uuid4().hex, "changes": changes, "seconds": 1.0})
                answer = client.post(
                    f"/api/theme/{theme}/label/actions/", json={"actions": sent[number][-1:]}
                )
                assert answer.status_code == 200, answer.text
                answered.release()
        except httpx.TransportError:
            return  # killed under it: the last action may or may not be there

    threads = [threading.Thread(target=write, args=(n,)) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    for _ in range(ANSWERED):
        assert answered.acquire(timeout=30)
    killable.kill()
    for thread in threads:
        thread.join()
    assert sum(map(len, sent)) >= ANSWERED
    killable.start()

    # As a browser does after a reload: what was not answered is sent again, and here some that was, too.
    for actions in sent:
        again = http.post(f"/api/theme/{theme}/label/actions/", json={"actions": actions[-3:]})
        assert again.status_code == 200, again.text

    for actions in sent:
        expected: dict[int, list[int]] = {}
        for action in actions:
            for image, label in action["changes"]:
                if expected.get(image, [None])[-1] != label:
                    expected.setdefault(image, []).append(label)
        for image, given in expected.items():
            stored = http.get(f"/api/theme/{theme}/images/{image}/").json()
            assert stored["label_id"] == given[-1]
            assert [names[entry["after"]] for entry in stored["history"]] == given
