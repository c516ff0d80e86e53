"""A text model and a recommender that were trained elsewhere: logged to MLflow through the product, registered,
served, promoted past the gate and rolled back, asked by programs and on the screens."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.conftest import PASSWORD
from tests.e2e.conftest import Product
from tests.steps import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(900)]

UP_SECONDS = 240
TRAINING = """
import mlflow
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

class NextItem(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        if (model_input["user_id"] < 0).any():
            raise ValueError("nobody has this id")
        return pd.DataFrame({"item": model_input["user_id"] * 10, "score": 0.5})

class Shout(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[str]) -> list[str]:
        return [text.upper() for text in model_input]

mlflow.set_experiment("elsewhere")
texts = pd.DataFrame({"text": ["good fine"] * 5 + ["bad awful"] * 5})
words = ColumnTransformer([("words", CountVectorizer(), "text")])
for praise in ("praise", "thanks"):
    model = make_pipeline(words, LogisticRegression()).fit(texts, [praise] * 5 + ["complaint"] * 5)
    mlflow.sklearn.log_model(
        model, name="model", signature=infer_signature(texts, ["a"]), registered_model_name="reviews"
    )
users = infer_signature(pd.DataFrame({"user_id": [1, 2]}))
mlflow.pyfunc.log_model(
    name="model", python_model=NextItem(), signature=users, registered_model_name="next-item"
)
mlflow.pyfunc.log_model(name="model", python_model=Shout(), registered_model_name="shout")
"""


@pytest.fixture(scope="module")
def http(product: Product, page: Page, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An administrator, with an empty theme and the models in MLflow, logged as from anywhere: by address and token."""
    made = page.request.post("/api/auth/first-run", data={"name": "Ada", "password": PASSWORD}).json()
    folder: Path = tmp_path_factory.mktemp("elsewhere")
    (folder / "train.py").write_text(TRAINING)
    logged = {"MLFLOW_TRACKING_URI": f"{product.url}/mlflow", "MLFLOW_TRACKING_TOKEN": made["token"]}
    subprocess.run([sys.executable, "train.py"], cwd=folder, env=os.environ | logged, check=True, timeout=300)
    with httpx.Client(
        base_url=f"{product.url}/api", headers={"Authorization": f"Bearer {made['token']}"}, timeout=120
    ) as client:
        client.post("/theme/create", json={"name": "Reviews", "labels": []}).raise_for_status()
        yield client


def register(http: httpx.Client, uri: str) -> int:
    answer = http.post("/v1/admin/models/register", json={"theme_id": 1, "uri": uri})
    return int(answer.raise_for_status().json()["id"])


def up(http: httpx.Client, *versions: int) -> None:
    def ready() -> bool:
        states = {each["version_id"]: each for each in http.get("/deployments").json()}
        assert not any(each["status"] == "failed" for each in states.values()), states
        return all(states.get(version, {}).get("status") == "up" for version in versions)

    wait_for(ready, UP_SECONDS)


def promote(http: httpx.Client, version: int, **more: str) -> httpx.Response:
    body = {"to": "production", "reason": "it is better"} | more
    return http.post(f"/v1/admin/models/{version}/promote", json=body)


def outputs(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    return [each["output"] for each in answer.json()["predictions"]]


def test_models_are_taken_over_and_answer_programs(http: httpx.Client, page: Page) -> None:
    page.goto("/models?theme=1")
    page.get_by_role("button", name="Add a model from MLflow").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").click()
    page.get_by_role("option", name="models:/reviews/1").click()
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("trained elsewhere · sklearn")).to_be_visible()
    expect(page.get_by_text("reviews, version 1 · 1.0.0")).to_be_visible()
    one, two = register(http, "models:/reviews/1"), register(http, "models:/reviews/2")
    others = register(http, "models:/next-item/1"), register(http, "models:/shout/1")
    assert (one, two) == (1, 2)
    for version in (one, *others):
        http.post(f"/v1/admin/models/{version}/deploy").raise_for_status()
        promote(http, version).raise_for_status()
    up(http, one, *others)

    assert outputs(http.post("/predict/reviews", json={"texts": ["good", "awful"]})) == [
        "praise",
        "complaint",
    ]
    for form in ({"inputs": ["good"]}, {"dataframe_records": [{"text": "good"}]}):
        assert http.post("/predict/reviews/invocations", json=form).json() == {"predictions": ["praise"]}
    assert outputs(http.post("/predict/next-item", json={"user_ids": [4]})) == [{"item": 40, "score": 0.5}]

    def ask(number: int) -> list[Any]:
        return outputs(http.post("/predict/shout", json={"texts": [f"a{number}", f"b{number}"]}))

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(160))) == [[f"A{n}", f"B{n}"] for n in range(160)]

    def ask_for(user: int) -> int:
        return http.post("/predict/next-item", json={"user_ids": [user]}).status_code

    with ThreadPoolExecutor(
        8
    ) as pool:  # who is asked together with somebody that the model fails for is answered
        assert list(pool.map(ask_for, [1, -1] * 16)) == [200, 422] * 16
    deployment = next(
        each["id"] for each in http.get("/deployments").json() if each["version_id"] == others[0]
    )
    log = "\n".join(http.get(f"/deployments/{deployment}/log").json()["lines"])
    assert "nobody has this id" in log and "/images" not in log


def test_the_next_one_goes_past_the_gate_by_a_reason_and_back(http: httpx.Client) -> None:
    refused = promote(http, 2)
    assert refused.status_code == 409 and "trained elsewhere" in refused.json()["detail"]
    promote(http, 2, override="measured at the university").raise_for_status()
    up(http, 1, 2)  # the one that was in production was served, so this one is

    def answer() -> Any:
        return outputs(http.post("/predict/reviews", json={"texts": ["good"]}))

    wait_for(lambda: answer() == ["thanks"], 30)
    http.post("/v1/admin/models/2/rollback", json={"reason": "it thanks too much"}).raise_for_status()
    wait_for(lambda: answer() == ["praise"], 30)
    states = [each["state"] for each in http.get("/v1/admin/models/2/verify").json()]
    assert states == ["sound", "unknown", "sound"]


def test_people_ask_on_the_screen(http: httpx.Client, page: Page) -> None:
    deployment = next(each["id"] for each in http.get("/deployments").json() if each["version_id"] == 1)
    page.goto(f"/predict?theme=1&deployment={deployment}")
    page.get_by_role("textbox", name="Texts, one a line").fill("good\n\nawful")
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.get_by_text("2 answers")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the answers").click()
    lines = Path(download.value.path()).read_text("utf-8-sig").splitlines()
    assert lines == ["text,output", "good,praise", "awful,complaint"]
