"""A/B tests on really trained, really served models, with users whose ratings follow the predictions.

One installation: the digits, version 1 trained badly, versions 2 and 3 well (two seeds), each with its
own `mlflow models serve`. Three worlds, each with its own verdict: B is better, both are as good, and
a program that breaks the assignment. From the verdict on to report, promotion and MLflow's aliases.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest

from core.ab import mismatch
from tests.conftest import PASSWORD
from tests.e2e.conftest import Product

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1800)]

BASE = "/api/v1/admin/ab-tests"
MODELS = "/api/v1/admin/models"
THREADS = 8
TRAIN_SECONDS, SERVE_SECONDS = 600, 300
FAST = {"precision": "fp32"}  # short numbers on two threads cost twelve times as much while others compute
GOOD = FAST | {"epochs": 4, "batch_size": 32, "learning_rate": 0.002}
BAD = FAST | {"epochs": 1, "batch_size": 256, "learning_rate": 1e-6}
PLAN = {"primary": "rating", "minimum": 0.5, "planned_users": 400, "days": 7}
WAYS = IGNORES, LOSES = ("ignores the variant", "loses rows of B")


@dataclass
class Lab:
    """The installation with its three versions being served."""

    product: Product
    http: httpx.Client
    versions: list[dict[str, Any]]
    deployments: dict[int, int]
    """Deployment of each version."""
    images: list[tuple[bytes, str]]
    """Test images that no version learned from, and what they show."""

    def get(self, path: str, **query: Any) -> Any:
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, **body: Any) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def started(self, name: str, a: int, b: int, **plan: Any) -> int:
        """Id of a running test of two versions (their places)."""
        versions = [self.versions[a]["id"], self.versions[b]["id"]]
        body = {"theme_id": 1, "name": name, "plan": PLAN | {"versions": versions} | plan}
        test: int = self.post(BASE, **body)["id"]
        self.post(f"{BASE}/{test}/start")
        return test

    def users(self, test: int, n: int) -> list[str]:
        """Names of users. A deal so uneven that it would rightly be called broken (one in a hundred) is not taken."""
        for crowd in range(20):
            names = [f"user-{crowd}-{number}" for number in range(n)]
            with ThreadPoolExecutor(THREADS) as pool:
                dealt = Counter(pool.map(lambda name: self.peek(test, name), names))
            if mismatch.fixed([dealt["A"], dealt["B"]], [0.5, 0.5]) > 0.01:
                return names
        raise AssertionError("twenty uneven deals")

    def peek(self, test: int, unit: str) -> str:
        return str(self.post(f"{BASE}/{test}/assign-variant", unit=unit, peek=True)["variant"])

    def image(self, unit: str) -> tuple[bytes, str]:
        return self.images[random.Random(unit).randrange(len(self.images))]


@dataclass
class Crowd:
    """Users who ask the gateway for one image each and rate what they got later."""

    lab: Lab
    test: int
    seconds: list[float] = field(default_factory=list)
    """Of each answer."""
    acknowledged: dict[str, int] = field(default_factory=dict)
    """The rating of each key for which the server said that it has it."""
    right: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)

    def go(self, units: list[str], after: Callable[[int], None] = lambda done: None) -> float:
        """All users, by `THREADS` at once; `after` is told how many are done. Answers a second."""
        done, lock = 0, threading.Lock()

        def one(unit: str) -> None:
            nonlocal done
            self.one(unit)
            with lock:
                done += 1
                after(done)

        began = time.monotonic()
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(one, units))
        return len(units) / (time.monotonic() - began)

    def one(self, unit: str) -> None:
        data, truth = self.lab.image(unit)
        began = time.monotonic()
        said = persistent(
            lambda: self.lab.http.post(
                f"{BASE}/{self.test}/answer",
                data={"unit": unit, "key": unit},
                files={"image": ("digit.png", data, "image/png")},
            )
        )
        self.seconds.append(time.monotonic() - began)
        stars = opinion(unit, said["label"] == truth)
        self.asked[said["variant"]] += 1
        self.right[said["variant"]] += said["label"] == truth
        persistent(
            lambda: self.lab.http.post(f"{BASE}/{self.test}/logs/{unit}/rating", json={"rating": stars})
        )
        self.acknowledged[unit] = stars

    def says(self, what: str, pace: float) -> None:
        """Print what a figure of the README needs (pytest -s)."""
        p50, p95 = np.quantile(self.seconds, [0.5, 0.95]) * 1000
        shares = {name: f"{self.right[name]}/{self.asked[name]}" for name in sorted(self.asked)}
        print(
            f"{what}: {pace:.1f} users/s (answer and rating), p50 {p50:.0f} ms, p95 {p95:.0f} ms, right {shares}"
        )


def opinion(unit: str, right: bool) -> int:
    """Stars of one user for an answer: content with a right one, as a rule, and not with a wrong one."""
    chance = random.Random(f"taste of {unit}")
    return chance.choice([3, 4, 4, 5, 5, 5] if right else [1, 1, 2, 2, 3])


def persistent(send: Callable[[], httpx.Response]) -> Any:
    """The answer of a program that sends again, with the same key, until it is acknowledged."""
    until = time.monotonic() + 180
    while True:
        try:
            answer = send()
            if answer.status_code < 500:
                assert answer.status_code == 200, answer.text
                return answer.json()
            problem = answer.text
        except httpx.TransportError as error:
            problem = repr(error)
        assert time.monotonic() < until, problem
        time.sleep(0.2)


@pytest.fixture(scope="module")
def lab(product: Product) -> Iterator[Lab]:
    began = time.monotonic()
    with httpx.Client(base_url=product.url, timeout=120, trust_env=False) as http:
        http.post("/api/auth/first-run", json={"name": "Ada", "password": PASSWORD}).raise_for_status()
        token = http.post("/api/tokens", json={"name": "end to end"}).json()["token"]
        http.headers["Authorization"] = f"Bearer {token}"
        it = Lab(product, http, [], {}, [])
        labels = {label["id"]: label["name"] for label in it.post("/api/demo")["labels"]}
        runs = []
        for how in (BAD | {"seed": 1}, GOOD | {"seed": 2}, GOOD | {"seed": 3}):
            params = it.get("/api/theme/1/training/config")["params"]
            params["training"] |= how
            params["data"]["image_size"] = 32
            it.post("/api/theme/1/training/config/save", params=params)
            runs.append(it.post("/api/theme/1/training/start")["id"])
        for run in runs:
            version = wait(lambda run=run: finished(it, run), TRAIN_SECONDS)
            it.versions.append(version)
            made = it.post(f"/api/models/{version['id']}/deploy")
            it.deployments[version["id"]] = made["id"]
        for image in it.get("/api/theme/1/images", split="test", limit=1000)["items"]:
            it.images.append((http.get(image["full"]).content, labels[image["label_id"]]))
        wait(
            lambda: all(each["status"] == "up" for each in it.get("/api/deployments")),
            SERVE_SECONDS,
        )
        accuracies = [version["metrics"]["test"]["accuracy"] for version in it.versions]
        print(f"\nlab ready after {time.monotonic() - began:.0f} s; accuracies {accuracies}")
        assert accuracies[0] < 0.5 and min(accuracies[1:]) > 0.85, accuracies
        yield it


def finished(lab: Lab, run: int) -> dict[str, Any] | None:
    """The version that a run registered, once it did."""
    state = lab.get(f"/api/theme/1/training/progress/{run}")
    assert state["status"] not in ("failed", "cancelled"), state["error"]
    if state["status"] != "succeeded":
        return None
    return next((version for version in lab.get("/api/models") if version["run_id"] == run), None)


def wait(condition: Callable[[], Any], seconds: float) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.5)
    raise AssertionError(f"it did not come true within {seconds} s")


def stages(lab: Lab) -> list[str]:
    return [lab.get(f"/api/models/{version['id']}")["stage"] for version in lab.versions]


def logged(lab: Lab, test: int) -> dict[str, int | None]:
    """The rating of every key that is stored."""
    found: dict[str, int | None] = {}
    after: dict[str, str] = {}
    while rows := lab.get(f"{BASE}/{test}/logs", limit=1000, **after):
        assert not found.keys() & {row["key"] for row in rows}
        found |= {row["key"]: row["rating"] for row in rows}
        after = {"after_at": rows[-1]["logged_at"], "after_key": rows[-1]["key"]}
    return found


def kill_the_app(product: Product) -> None:
    [app] = [process for process in product.family() if "app:app" in process.cmdline()]
    os.kill(app.pid, signal.SIGKILL)


def test_a_real_difference_is_found_through_a_kill_and_promoted(lab: Lab) -> None:
    bad, good, _ = (version["id"] for version in lab.versions)
    lab.post(f"{MODELS}/{bad}/promote", reason="the first one we have")
    test = lab.started("Is the new one better?", 0, 1)
    crowd = Crowd(lab, test)
    units = lab.users(test, 320)

    def kill_in_the_middle(done: int) -> None:
        if done == len(units) // 2:
            kill_the_app(lab.product)

    crowd.says("real difference, killed once", crowd.go(units, kill_in_the_middle))
    stored = logged(lab, test)
    assert stored == crowd.acknowledged and len(stored) == len(units)  # nothing lost, nothing twice
    report = lab.get(f"{BASE}/{test}/results")
    assert report["verdict"]["kind"] == "better", report["verdict"]
    assert report["verdict"]["sentence"] == "B is better than A."
    assert [arm["users"] for arm in report["variants"]] == [crowd.asked["A"], crowd.asked["B"]]
    [versus] = report["comparisons"]
    assert versus["primary"]["low"] > 0 and report["health"]["both_arms"] == 0
    gate = lab.get(f"{MODELS}/{good}/gate")
    assert [line["state"] for line in gate] == ["red", "green"]  # not before the test is concluded
    ended = lab.post(f"{BASE}/{test}/conclude", winner="B", reason="It reads digits right.", promote=True)
    assert ended["promotion"]["promoted"], ended["promotion"]
    assert stages(lab) == ["archived", "production", "staging"]
    [entry] = lab.get(f"{MODELS}/{good}/ledger")
    assert entry["evidence"]["ab_test"]["verdict"] == ended["outcome"]["verdict"]
    assert entry["reason"] == "It reads digits right." and entry["actor"] == "Ada"
    assert lab.get(f"{MODELS}/ledger/verify") == {"sound": True, "problems": []}
    model = lab.versions[0]["model_id"]
    moment = datetime.fromisoformat(entry["at"])
    for at, version in ((moment - timedelta(seconds=1), bad), (datetime.now(UTC), good)):
        assert lab.get(f"{MODELS}/production", model=model, at=at.isoformat())["version_id"] == version
    wait(lambda: aliases(lab) == {"champion": "2", "previous": "1"}, 30)
    after = lab.get(f"{BASE}/{test}/results")
    assert after["verdict"] == report["verdict"] and after["test"]["status"] == "concluded"
    written = lab.get(f"{BASE}/{test}/report", format="json")
    assert written.pop("conversations")["A"] and written == after


def aliases(lab: Lab) -> dict[str, str]:
    """As MLflow has them."""
    found = lab.get("/mlflow/api/2.0/mlflow/registered-models/get", name=lab.versions[0]["model_name"])
    return {each["alias"]: each["version"] for each in found["registered_model"].get("aliases", [])}


def test_two_models_of_the_same_kind_are_never_told_apart(lab: Lab) -> None:
    test = lab.started("The same twice", 1, 2)
    crowd = Crowd(lab, test)
    crowd.says("the same twice", crowd.go(lab.users(test, 320)))
    assert logged(lab, test) == crowd.acknowledged
    report = lab.get(f"{BASE}/{test}/results")
    assert report["verdict"]["kind"] in ("same", "unclear"), report["verdict"]
    [versus] = report["comparisons"]
    assert versus["primary"]["low"] < 0 < versus["primary"]["high"]
    before = stages(lab)
    ended = lab.post(f"{BASE}/{test}/conclude", winner="B", reason="We like it.", promote=True)
    assert ended["status"] == "concluded" and not ended["promotion"]["promoted"]
    assert "did not end with the verdict" in ended["promotion"]["why_not"]
    assert stages(lab) == before


@pytest.mark.parametrize("way", WAYS)
def test_a_program_that_breaks_the_assignment_is_found_out(lab: Lab, way: str) -> None:
    broken(lab, way, 400)


def broken(lab: Lab, way: str, users: int) -> None:
    test = lab.started(f"A program {way}", 0, 1)
    units = lab.users(test, users)
    deployed = dict(zip("AB", (lab.deployments[lab.versions[place]["id"]] for place in (0, 1)), strict=True))

    def one(place: int, unit: str) -> dict[str, Any] | None:
        variant = lab.post(f"{BASE}/{test}/assign-variant", unit=unit)["variant"]
        if way == IGNORES and place % 8 == 0:
            variant = "B"
        data, truth = lab.image(unit)
        files = {"files": ("digit.png", data, "image/png")}
        answer = lab.http.post(f"/api/deployments/{deployed[variant]}/predict", files=files)
        [said] = answer.json()
        if way == LOSES and variant == "B" and place % 2:
            return None
        return {
            "unit": unit,
            "key": unit,
            "variant": variant,
            "rating": opinion(unit, said["label"] == truth),
        }

    with ThreadPoolExecutor(THREADS) as pool:
        rows = [row for row in pool.map(one, range(len(units)), units) if row is not None]
    sent = lab.http.post(f"{BASE}/{test}/logs/batch", json=rows).json()
    assert (sent["added"], sent["refused"]) == (len(rows), [])
    report = lab.get(f"{BASE}/{test}/results")
    assert report["verdict"]["kind"] == "broken", report["verdict"]
    assert report["comparisons"] == []
    assert not any("mean" in arm for arm in report["variants"])
    csv = lab.http.get(f"{BASE}/{test}/report", params={"format": "csv"}).text
    assert "broken" in csv and "primary" not in csv
    before = stages(lab)
    ended = lab.post(f"{BASE}/{test}/conclude", winner="B", reason="It looked good.", promote=True)
    assert not ended["promotion"]["promoted"] and ended["promotion"]["why_not"] and stages(lab) == before


@pytest.mark.slow
@pytest.mark.parametrize(("a", "b", "kinds"), [(0, 1, ("better",)), (1, 2, ("same", "unclear"))])
def test_five_thousand_users(lab: Lab, a: int, b: int, kinds: tuple[str, ...]) -> None:
    test = lab.started(f"5,000 users, version {a + 1} and {b + 1}", a, b, planned_users=5_000)
    crowd = Crowd(lab, test)
    units = lab.users(test, 5_000)

    def kill_in_the_middle(done: int) -> None:
        if done == len(units) // 2:
            kill_the_app(lab.product)

    crowd.says(f"5,000 users, {kinds[0]}", crowd.go(units, kill_in_the_middle))
    assert logged(lab, test) == crowd.acknowledged
    verdict = lab.get(f"{BASE}/{test}/results")["verdict"]
    assert verdict["kind"] in kinds, verdict
    lab.post(f"{BASE}/{test}/stop", reason="shown")


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_five_thousand_users_of_a_broken_program(lab: Lab, way: str) -> None:
    broken(lab, way, 5_000)
