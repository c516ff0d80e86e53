"""Versions that were trained elsewhere: what can be taken over, and what everything else says of them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from core import (
    auth,
    download,
    gate,
    outside,
    prediction_batches,
    proof,
    registry,
    signatures,
    stages,
    suggestion_jobs,
    themes,
    version_changes,
    version_lists,
    versions_compared,
)
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound, Unavailable
from core.gate import policy
from core.gateway import rows
from core.gateway.observed import Told
from core.gateway.rows import Output
from core.ledger import PRODUCTION
from core.passport import as_json, gather, page, paper, words
from core.version_lists import Filter
from core.workbench import Workbench
from tests.elsewhere import TABLE, TEXT, USERS, files, mlmodel, taken_over
from tests.mlflow_files import keeping

URI = "models:/reviews/1"
ASKED = """
champion: {slices: {enabled: true}}
metric: {enabled: true}
latency: {enabled: true}
"""
"""Promotion rules that ask for what only a training here measures."""


def column(name: str | None, kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "required": True, **({} if name is None else {"name": name}), **more}


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        (TEXT, "text"),
        ([column(None, "string")], "text"),
        (USERS, "users"),
        ([column("userId", "string")], "users"),
        ([column("user", "integer")], "users"),
        ([column("user", "double")], "rows"),
        ([column("age", "double")], "rows"),
        ([column("seen", "datetime")], "rows"),
        (TABLE, "rows"),
        ([column("user_id", "long"), column("item", "string")], "rows"),
    ],
)
def test_the_signature_says_what_a_model_takes(columns: Sequence[Any], kind: str) -> None:
    found = signatures.read(URI, mlmodel(columns))
    assert (found.kind, found.flavor) == (kind, "sklearn")
    assert [each.name for each in found.columns] == [each.get("name", "") for each in columns]


TENSOR = {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (b"{", "cannot be read"),
        (b"- flavors", "cannot be read"),
        (mlmodel(TEXT, ["pytorch"]), "no flavor python_function"),
        (mlmodel([]), "has no signature"),
        (mlmodel([column("image", "string")]), "models for images are trained here"),
        (mlmodel([TENSOR]), "takes tensors"),
        (mlmodel([column("tags", "array", items={"type": "string"})]), "the type “array”"),
        (mlmodel([column("sound", "binary")]), "the type “binary”"),
        (mlmodel([column(None, "double"), column(None, "double")]), "columns without a name"),
    ],
)
def test_a_model_that_the_gateway_could_not_ask_is_refused(file: bytes, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        signatures.read(URI, file)


def test_a_version_is_taken_over_once_and_its_name_is_one_themes(
    wb: Workbench, trainer: auth.User, labeler: auth.User
) -> None:
    theme = themes.create(wb, trainer, name="Reviews", labels=[])
    other = themes.create(wb, trainer, name="Others", labels=[])
    with taken_over(wb, trainer, theme.id, TEXT) as (bench, version):
        assert (version.kind, version.architecture, str(version.semver)) == ("text", "sklearn", "1.0.0")
        assert (version.run_id, version.snapshot_hash, version.labels) == (None, None, ())
        assert version.files is not None and set(version.files) == {"MLmodel", "model.pkl"}
        assert outside.register(bench, trainer, theme.id, URI) == version
        assert str(outside.register(bench, trainer, theme.id, "models:/reviews/2").semver) == "1.1.0"
        with pytest.raises(NotAllowed):
            outside.register(bench, labeler, theme.id, URI)
        with pytest.raises(NotFound):
            outside.register(bench, trainer, 99, URI)
        with pytest.raises(Conflict, match="belongs to another theme"):
            outside.register(bench, trainer, other.id, "models:/reviews/3")
        for uri in (
            "models:/reviews@champion",
            "models:/reviews/latest",
            "runs:/1/model",
            "models:/re views/1",
        ):
            with pytest.raises(InvalidInput):
                outside.register(bench, trainer, theme.id, uri)
        with pytest.raises(InvalidInput, match="models that are trained here"):
            outside.register(bench, trainer, theme.id, "models:/veritrain-theme-7/1")
        stages.promote(bench, trainer, version.id, "archived", "no longer")
        version_changes.delete(bench, trainer, version.id)
        with pytest.raises(Conflict, match="was deleted here"):
            outside.register(bench, trainer, theme.id, URI)
    with (
        keeping(wb, files(USERS)) as (bench, _kept),
        pytest.raises(Conflict, match="take “texts”, this one takes “user_ids”"),
    ):
        outside.register(bench, trainer, theme.id, "models:/reviews/4")
    with pytest.raises(Unavailable, match="does not answer"):
        outside.register(wb, trainer, theme.id, "models:/reviews/5")
    with pytest.raises(Unavailable, match="does not answer"):
        outside.offered(wb, theme.id)
    assert [each.version for each in registry.versions(wb, theme.id)] == [2]
    found = version_lists.page(wb, Filter(kind="text"))
    assert [each.inputs for each in found.items] == [(signatures.Column("text", "string", True),)]


def test_what_nobody_knows_of_it_is_said_and_not_guessed(
    wb_duckdb: Workbench, trainer: auth.User, admin: auth.User
) -> None:
    theme = themes.create(wb_duckdb, trainer, name="Reviews", labels=["a", "b"])
    with keeping(wb_duckdb, files(TEXT)) as (wb, kept):
        one = outside.register(wb, trainer, theme.id, URI)
        two = outside.register(wb, trainer, theme.id, "models:/reviews/2")
        lines = proof.verify(wb, one.id)
        assert [line.state for line in lines] == ["sound", "unknown", "sound"]
        assert "trained elsewhere" in lines[1].text() and "were registered" in lines[2].text()
        kept["extra.py"] = b"import os"
        assert "extra.py" in proof.verify(wb, one.id)[2].text()
        del kept["extra.py"]

        with zipfile.ZipFile(io.BytesIO(b"".join(download.stream(wb, trainer, one.id).chunks))) as archive:
            assert sorted(archive.namelist()) == [
                f"reviews-1/{name}" for name in ("MLmodel", "SHA256SUMS", "model.pkl")
            ]
            assert archive.read("reviews-1/model.pkl") == b"weights"

        stages.promote(wb, trainer, one.id, PRODUCTION, "the first one has nothing to be compared with")
        policy.save(wb, admin, theme.id, ASKED)
        red = {line.code: line for line in gate.look(wb, two.id) if line.state == gate.RED}
        assert {line.case for line in red.values()} >= {"elsewhere"}
        for code in ("accuracy", "slices", "metric", "latency"):
            assert red[code].case == "elsewhere" and "trained elsewhere" in red[code].text()
        with pytest.raises(gate.Refused, match="trained elsewhere"):
            stages.promote(wb, trainer, two.id, PRODUCTION, "it should")
        entry = stages.promote(
            wb, admin, two.id, PRODUCTION, "it should", override="measured at the university"
        )
        assert entry.evidence["version"]["run_id"] is None
        assert stages.roll_back(wb, trainer, two.id, "worse").version_id == one.id

        told = gather.passport(wb, two.id)
        document = words.document(told)
        said = as_json.render(told, document)
        assert (said["data"], said["training"], said["identity"]["kind"]) == (None, None, "text")
        codes = {each["code"] for each in said["not_known"]}
        assert codes >= {"origin", "evaluation-data", "training-data", "training", "analyses"}
        assert "asked with “texts”" in page.render(document)
        assert paper.render(document).startswith(b"%PDF")

    asked: list[Callable[[], object]] = [
        lambda: versions_compared.of_versions(wb, [one.id, two.id]),
        lambda: registry.made_by(one),
        lambda: suggestion_jobs.start(wb, trainer, theme.id, one.id),
        lambda: prediction_batches.create(wb, trainer, one.id),
    ]
    for refused in asked:
        with pytest.raises(Conflict, match=r"trained (elsewhere|here)"):
            refused()
    with pytest.raises(InvalidInput, match="no trained model yet"):
        suggestion_jobs.start(wb, trainer, theme.id)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("spam", Told("spam", None, answered=True)),
        ("x" * 61, Told(None, None, answered=True)),
        (3.5, Told(None, None, answered=True)),
        (None, Told(None, None, answered=True)),
        ({"label": "spam", "score": 0.9}, Told("spam", 0.9, answered=True)),
        ({"label": 3, "score": 0.9}, Told(None, None, answered=True)),
        ([1, 2], Told(None, None, answered=True)),
    ],
)
def test_only_what_looks_like_a_label_is_counted_as_one(said: Any, told: Told) -> None:
    assert rows.output(said) == Output(said, told)
