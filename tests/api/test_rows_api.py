"""The gateway for models that were trained elsewhere: texts, user ids, rows; checked, batched, in MLflow's words too."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from pictures import png

from core import auth, registry, serving, stages, themes
from core.gateway import observed
from core.gateway.observed import Observed, Told
from core.serving_protocol import SEEN_KEY
from core.workbench import Workbench
from tests.api.clients import Client, refused
from tests.api.test_predict_api import with_settings
from tests.core.ab.rig import started
from tests.elsewhere import TABLE, TEXT, USERS, RowServer, row_server, taken_over

COLUMNS = {"reviews": TEXT, "people": USERS, "loans": TABLE}


@pytest.fixture
def server() -> Iterator[RowServer]:
    with row_server() as it:
        yield it


@pytest.fixture
def models(wb_duckdb: Workbench, trainer: auth.User, server: RowServer) -> dict[str, int]:
    """A deployment by the name of each model; its version is in production."""
    theme = themes.create(wb_duckdb, trainer, name="Elsewhere", labels=[])
    made = {}
    for name, columns in COLUMNS.items():
        with taken_over(wb_duckdb, trainer, theme.id, columns, name) as (bench, version):
            stages.promote(bench, trainer, version.id, "production", "the first")
        made[name] = serving.deploy(wb_duckdb, trainer, version.id).id
        up = {"status": "up", "url": server.url, "detail": None}
        wb_duckdb.broker.hset(SEEN_KEY, str(made[name]), json.dumps(up))
    serving.sync(wb_duckdb)
    return made


def test_texts_user_ids_and_rows_are_answered_in_their_order_and_seen(
    client: Client, viewer: auth.User, models: dict[str, int], server: RowServer, wb_duckdb: Workbench
) -> None:
    http = client(viewer)
    with_settings(wb_duckdb, predict_sample=1.0)
    heard: list[Observed] = []
    with ExitStack() as stack:
        observed.listeners.append(heard.append)
        stack.callback(observed.listeners.remove, heard.append)
        answer = http.post("predict/reviews", json={"texts": ["", "good 👍"]}).json()
        assert answer == {
            "model": "reviews",
            "version": 1,
            "predictions": [{"output": "about "}, {"output": "about good 👍"}],
        }
        server.say = lambda row: {"item": row[0], "score": float("nan")}
        answer = http.post(f"deployments/{models['people']}/predict", json={"user_ids": [7, -1]}).json()
        assert answer == [{"output": {"item": 7, "score": None}}, {"output": {"item": -1, "score": None}}]
        server.say = lambda row: row[0] + row[1]
        row = {"age": 30, "income": 1, "city": "Köln"}
        assert http.post("predict/loans", json={"rows": [row]}).json()["predictions"] == [{"output": 31.0}]
    assert server.sent[-1] == {"columns": ["age", "income", "city"], "data": [[30, 1.0, "Köln"]]}
    assert [(each.model, each.status) for each in heard] == [
        ("reviews", 200),
        ("people", 200),
        ("loans", 200),
    ]
    assert heard[0].predictions[0] == Told("about ", None, answered=True)
    log = (wb_duckdb.settings.data_dir / "logs" / "predictions.jsonl").read_text().splitlines()
    assert json.loads(log[2])["rows"] == [{"label": None, "confidence": None}] and "Köln" not in log[2]
    server.say = str
    many = http.post("predict/reviews", json={"texts": [str(n) for n in range(70)]})
    assert many.status_code == 200 and [len(table["data"]) for table in server.sent[-3:]] == [32, 32, 6]


ROW = {"age": 30, "income": 1.5}
WRONG: list[tuple[str, str | bytes, str]] = [
    ("reviews", '{"texts": []}', "“texts” is missing or empty"),
    ("reviews", '{"texts": "good"}', "“texts” is missing or empty"),
    ("reviews", "{}", "“texts” is missing or empty"),
    ("reviews", '{"rows": [{"text": "a"}]}', "This model takes “texts”, not “rows”"),
    ("reviews", '{"texts": ["a"], "images": []}', "This model takes “texts”, not “images”"),
    ("reviews", '{"texts": ["a"], "top": 3}', "no field “top”"),
    ("reviews", '{"texts": ["a", 3]}', "Row 2: “texts” is no text"),
    ("reviews", '{"texts": [null]}', "Row 1 has no “texts”"),
    ("reviews", '{"texts": ["\\ud83d"]}', "half a character"),
    ("reviews", json.dumps({"texts": ["x" * 100_001]}), "100001 characters; send at most 100000"),
    ("reviews", json.dumps({"texts": ["x"] * 5}), "at most 4 rows at once"),
    ("reviews", '{"texts": ["bad"]}', "could not answer these rows (400)"),
    ("people", '{"user_ids": ["7"]}', "Row 1: “user_ids” is no whole number of 64 bits"),
    ("people", '{"user_ids": [1.5]}', "no whole number"),
    ("people", '{"user_ids": [true]}', "no whole number"),
    ("people", '{"user_ids": [9223372036854775808]}', "no whole number of 64 bits"),
    ("people", '{"users": [1]}', "no field “users”"),
    ("loans", '{"rows": [3]}', "Row 1 is no object"),
    ("loans", '{"rows": [{"age": 30}]}', "Row 1 has no “income”"),
    (
        "loans",
        json.dumps({"rows": [ROW, ROW | {"height": 3}]}),
        "Row 2 has “height”, which the model does not take",
    ),
    ("loans", json.dumps({"rows": [ROW | {"age": 2**31}]}), "no whole number of 32 bits"),
    ("loans", json.dumps({"rows": [ROW | {"age": 30.0}]}), "“age” is no whole number"),
    ("loans", json.dumps({"rows": [ROW | {"income": "1.5"}]}), "“income” is no number"),
    ("loans", json.dumps({"rows": [ROW | {"income": True}]}), "“income” is no number"),
    ("loans", json.dumps({"rows": [ROW | {"income": 10**400}]}), "“income” is no number"),
    ("loans", '{"rows": [{"age": 30, "income": 1e999}]}', "“income” is no number"),
    ("loans", '{"rows": [{"age": 30, "income": NaN}]}', "no “NaN”"),
    ("loans", json.dumps({"rows": [ROW | {"city": 3}]}), "“city” is no text"),
    ("loans", json.dumps({"rows": [ROW | {"member": 1}]}), "“member” is neither true nor false"),
    ("loans", json.dumps({"rows": [ROW | {"member": True}, ROW]}), "“member” is missing in some rows"),
    ("loans", json.dumps({"rows": [ROW | {"since": "yesterday"}]}), "“since” is no moment"),
    ("loans", json.dumps({"rows": [ROW | {"since": 20260101}]}), "“since” is no moment"),
]


def test_each_wrong_value_is_one_sentence_that_says_where(
    wb_duckdb: Workbench, client: Client, viewer: auth.User, models: dict[str, int], server: RowServer
) -> None:
    http = client(viewer)
    with_settings(wb_duckdb, predict_images=4)
    json_type = {"Content-Type": "application/json"}
    for model, body, sentence in WRONG:
        said = refused(http.post(f"predict/{model}", content=body, headers=json_type), 422)
        assert sentence in said, (body, said)
    assert [table["data"] for table in server.sent] == [[["bad"]]], "no server sees what does not fit"
    files = [("files", ("a.png", png(1)))]
    assert "takes “texts” as application/json" in refused(http.post("predict/reviews", files=files), 422)
    missing = client(viewer).post("predict/nothing", json={"texts": ["a"]})
    refused(missing, 404)


def test_mlflows_protocol(
    client: Client, viewer: auth.User, models: dict[str, int], server: RowServer
) -> None:
    http = client(viewer)
    forms: Sequence[dict[str, Any]] = [
        {"dataframe_split": {"columns": ["text"], "data": [["a"], ["b"]]}},
        {"dataframe_split": {"columns": ["stars", "text"], "index": [4, 5], "data": [[1, "a"], [2, "b"]]}},
        {"dataframe_records": [{"text": "a"}, {"text": "b", "stars": 3}], "params": {}},
        {"instances": ["a", "b"]},
        {"instances": [{"text": "a"}, {"text": "b"}]},
        {"inputs": ["a", "b"]},
        {"inputs": {"text": ["a", "b"]}},
    ]
    for form in forms:
        answer = http.post("predict/reviews/invocations", json=form)
        assert answer.json() == {"predictions": ["about a", "about b"]}, form
    wrong: Sequence[tuple[dict[str, Any], str]] = [
        ({"inputs": "a"}, "is a list"),
        ({"inputs": {}}, "no rows"),
        ({"instances": [], "inputs": []}, "exactly one"),
        ({"instances": [["a"]]}, "Row 1 is no object"),
        ({"dataframe_split": {"columns": [["text"]], "data": [["a"]]}}, "has no “text”"),
        ({"dataframe_split": {"columns": ["text"], "data": [["a", "b"]]}}, "one value for each"),
        ({"inputs": ["a"], "params": {"top": 3}}, "“params” are not taken"),
        ({"inputs": ["bad"]}, "could not answer these rows"),
        ({"texts": ["a"]}, "exactly one"),
    ]
    for form, sentence in wrong:
        answer = http.post("predict/reviews/invocations", json=form)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "BAD_REQUEST")
        assert sentence in answer.json()["message"], form
    table = {"inputs": {"age": [30, 31], "income": [1, 2], "member": [True, False]}}
    server.say = lambda row: row
    assert http.post("predict/loans/invocations", json=table).json()["predictions"] == [
        [30, 1.0, True],
        [31, 2.0, False],
    ]


def test_many_go_together_each_gets_its_own_and_one_that_is_refused_costs_the_others_nothing(
    client: Client, viewer: auth.User, models: dict[str, int], server: RowServer
) -> None:
    http = client(viewer)
    server.open.clear()

    def ask(text: str) -> Any:
        return http.post("predict/reviews", json={"texts": [text]})

    with ThreadPoolExecutor(12) as pool:
        first = pool.submit(ask, "first")
        while not server.sent:
            time.sleep(0.01)
        texts = [*map(str, range(10)), "bad"]
        rest = [pool.submit(ask, text) for text in texts]
        time.sleep(0.5)
        server.open.set()
        said = [future.result() for future in rest]
    assert first.result().json()["predictions"] == [{"output": "about first"}]
    assert max(len(table["data"]) for table in server.sent) > 5
    assert [answer.status_code for answer in said] == [200] * 10 + [422]
    for text, answer in zip(texts[:-1], said, strict=False):
        assert answer.json()["predictions"] == [{"output": f"about {text}"}]


def test_what_is_for_images_alone_says_so(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, models: dict[str, int]
) -> None:
    [one] = [each for each in registry.versions(wb_duckdb) if each.model_name == "reviews"]
    http = client(trainer)
    body = {"texts": ["a"]}
    trial = started(wb_duckdb, trainer)
    image = registry.get(wb_duckdb, trial.plan.versions[0])
    made = serving.deploy(wb_duckdb, trainer, image.id)
    assert made.version.inputs is None
    seen = json.dumps({"status": "up", "url": "http://127.0.0.1:9", "detail": None})
    wb_duckdb.broker.hset(SEEN_KEY, str(made.id), seen)
    serving.sync(wb_duckdb)
    assert "answers for images" in refused(http.post(f"deployments/{made.id}/predict", json=body), 422)
    detail = http.get(f"v1/admin/models/{one.id}").json()
    assert (detail["run_id"], detail["parameters"], detail["kind"]) == (None, {}, "text")
    assert detail["inputs"] == [{"name": "text", "type": "string", "required": True}]
    compare = http.get("v1/admin/models/compare", params={"ids": f"{one.id},{image.id}"})
    assert "trained elsewhere" in refused(compare, 409)
    assert "trained elsewhere" in refused(http.post(f"v1/admin/models/{one.id}/evaluate"), 409)
    for wrong in ({}, {"run_id": 1, "uri": "models:/a/1"}, {"theme_id": 1}):
        answer = http.post("v1/admin/models/register", json=wrong)
        assert refused(answer, 422) == "Send either “run_id”, or “theme_id” and “uri”."
    monitoring = http.get(f"v1/admin/deployments/{models['reviews']}/monitoring")
    assert monitoring.status_code == 200 and monitoring.json()["drift"] is None
