"""The registry for programs: model versions listed, compared, described, benchmarked, taken off the list."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field

from api import problems
from api.deps import Bench, Id, Trainer, Viewer
from api.evaluations import (
    ComparisonOut,
    EvaluationOut,
    IntervalOut,
    comparison_out,
    evaluation_out,
    interval_out,
)
from api.models import (
    BenchmarkOut,
    DeploymentOut,
    VersionOut,
    benchmark_out,
    deployment_out,
    version_fields,
    versions_out,
)
from api.router import Router
from api.stages import EntryOut, entry_out
from core import (
    aliases,
    model_benchmarks,
    outside,
    registry,
    runs,
    serving,
    stages,
    version_changes,
    version_lists,
    versions_compared,
)
from core.errors import InvalidInput
from core.evaluations import report
from core.ledger import ARCHIVED
from core.version_lists import Filter
from core.workbench import Workbench

router = Router(prefix="/v1/admin/models", tags=["models"])

Number = Annotated[int | None, Query(ge=1, le=2**63 - 1)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Register(_In):
    """Either `run_id`, or `theme_id` and `uri`."""

    run_id: Annotated[int | None, Field(ge=1, le=2**63 - 1)] = None
    theme_id: Annotated[int | None, Field(ge=1, le=2**63 - 1)] = None
    uri: str | None = None
    """models:/name/version"""


class Edit(_In):
    """What is left out stays as it is."""

    semver: str | None = None
    """X.Y.Z, higher than now and not used by the model before."""
    tags: list[str] | None = None
    """All of them: 0 to 20, each 1 to 40 letters, digits and the signs - _ . :"""
    description: str | None = None


class Archive(_In):
    reason: str


class AddBenchmark(_In):
    name: str
    score: float
    """0–1, more is better."""
    detail: dict[str, Any] = {}


class PageOut(BaseModel):
    items: list[VersionOut]
    total: int
    newer: int | None
    """Give it as `after` for the page of newer ones."""
    older: int | None
    """Give it as `before` for the page of older ones."""


class DetailOut(VersionOut):
    parameters: dict[str, Any]
    """params.yaml and auguments.yaml of its training, resolved; empty where it was trained elsewhere."""


class LatencyOut(BaseModel):
    """Of the newest A/B test in which users got its answers, ms."""

    test_id: int
    n: int
    p50: float
    p95: float


class KindOut(BaseModel):
    feature: str
    kind: str
    right: dict[int, IntervalOut]
    """By version, on its own test images."""


class ComparedOut(BaseModel):
    versions: list[VersionOut]
    runs: ComparisonOut
    benchmarks: dict[str, dict[int, float]]
    """Scores by name and version."""
    per_class: dict[str, dict[int, float]]
    """F1 by label and version."""
    slices: list[KindOut]
    latency: dict[int, LatencyOut]
    """By version; one that no A/B test measured is left out."""
    alone_ms: dict[int, float]
    """For one image, as the run measured after its training; older runs did not."""


# Paths without an id stand first, or they would be read as one.
@router.post("/register", summary="The version of a run, or one from MLflow that was trained elsewhere")
def register(wb: Bench, user: Trainer, body: Register) -> DetailOut:
    """A run registers its model by itself when it ends well: `{"run_id": 7}` says which version, or why there is none.

    `{"theme_id": 1, "uri": "models:/reviews/3"}` takes a version over that MLflow has and that was trained elsewhere:
    a python_function whose signature has one column of texts, a user's id, or columns of numbers, texts, moments.
    Neither ever makes a second version of the same.
    """
    match body.run_id, body.theme_id, body.uri:
        case int(run_id), None, None:
            version = version_changes.of_run(wb, run_id)
        case None, int(theme_id), str(uri):
            version = outside.register(wb, user, theme_id, uri)
        case _:
            raise InvalidInput("Send either “run_id”, or “theme_id” and “uri”.")
    return _detail(wb, version.id)


@router.get("", summary="Model versions, newest first, filtered and by pages")
def page(
    wb: Bench,
    _user: Viewer,
    theme: Number = None,
    model: str | None = None,
    stage: str | None = None,
    kind: str | None = None,
    alias: str | None = None,
    tags: str = "",
    match: Literal["any", "all"] = "any",
    text: str = "",
    metric: str | None = None,
    minimum: float | None = None,
    limit: int = 50,
    before: Number = None,
    after: Number = None,
) -> PageOut:
    """`tags` with commas between; `text` is looked for in names, version number and description.

    `alias` is champion, challenger or previous; `metric` is test.accuracy, test.macro_f1, valid.accuracy or
    valid.macro_f1.
    """
    wanted = tuple(tag for tag in tags.split(",") if tag.strip())
    asked = Filter(theme, model, stage, kind, wanted, match, text, metric, minimum, alias)
    found = version_lists.page(wb, asked, limit=limit, before=before, after=after)
    return PageOut(
        items=versions_out(wb, found.items), total=found.total, newer=found.newer, older=found.older
    )


@router.get("/compare", summary="Two to ten versions of a theme side by side")
def compare(request: Request, wb: Bench, _user: Viewer, ids: str) -> ComparedOut:
    """`ids` are their ids with commas between."""
    problems.speak(request)
    try:
        wanted = [int(part) for part in ids.split(",")]
    except ValueError:
        raise InvalidInput(
            "“{ids}” is no list of versions; write their ids with commas between.", ids=ids[:80]
        ) from None
    found = versions_compared.of_versions(wb, wanted)
    by_run = {registry.made_by(version): version.id for version in found.versions}
    per_class: dict[str, dict[int, float]] = {}
    for mark in found.runs.marks:
        for label, f1 in mark.f1.items():
            per_class.setdefault(label, {})[by_run[mark.run.id]] = f1
    return ComparedOut(
        versions=versions_out(wb, found.versions),
        runs=comparison_out(found.runs),
        benchmarks=found.benchmarks,
        per_class=per_class,
        slices=[
            KindOut(
                feature=feature,
                kind=kind,
                right={version_id: interval_out(each.right) for version_id, each in of.items()},
            )
            for (feature, kind), of in found.kinds.items()
        ],
        latency={version_id: LatencyOut(**vars(each)) for version_id, each in found.latency.items()},
        alone_ms=found.alone,
    )


@router.get("/{version_id}", summary="One version with all that made it")
def one(wb: Bench, _user: Viewer, version_id: Id) -> DetailOut:
    return _detail(wb, version_id)


@router.patch("/{version_id}", summary="Change its number, tags or description")
def edit(wb: Bench, user: Trainer, version_id: Id, body: Edit) -> DetailOut:
    version_changes.edit(wb, user, version_id, **body.model_dump())
    return _detail(wb, version_id)


@router.delete("/{version_id}", status_code=204, summary="Take an archived version off every list")
def delete(wb: Bench, user: Trainer, version_id: Id) -> None:
    """Refused while it is deployed, part of an A/B test or duel, or where a rollback leads. Its ledger stays."""
    version_changes.delete(wb, user, version_id)


@router.post("/{version_id}/evaluate", summary="What its frozen answers to single images say")
def evaluate(
    request: Request, wb: Bench, _user: Viewer, version_id: Id, split: Literal["test", "valid"] = "test"
) -> EvaluationOut:
    problems.speak(request)
    return evaluation_out(report.of_run(wb, registry.made_by(registry.get(wb, version_id)), split))


@router.post("/{version_id}/deploy", status_code=201, summary="Serve a version")
def deploy(wb: Bench, user: Trainer, version_id: Id, replicas: int | None = None) -> DeploymentOut:
    """By one server, or so many; asked again with another number, servers are added or ended."""
    return deployment_out(wb, user, serving.deploy(wb, user, version_id, replicas))


@router.post("/{version_id}/archive", summary="Archive a version")
def archive(wb: Bench, user: Trainer, version_id: Id, body: Archive) -> EntryOut:
    return entry_out(stages.promote(wb, user, version_id, ARCHIVED, body.reason))


@router.post("/{version_id}/benchmarks", status_code=201, summary="Note its score on a benchmark")
def add_benchmark(wb: Bench, user: Trainer, version_id: Id, body: AddBenchmark) -> BenchmarkOut:
    """Scores are only added; the newest of a name counts."""
    return benchmark_out(model_benchmarks.add(wb, user, version_id, body.name, body.score, body.detail))


def _detail(wb: Workbench, version_id: int) -> DetailOut:
    version = registry.get(wb, version_id)
    scores = model_benchmarks.newest(wb, [version_id])[version_id]
    fields = version_fields(version, scores, aliases.of(wb, [version])[version_id])
    if version.run_id is None:
        return DetailOut(**fields, parameters={})
    spec = runs.get(wb, version.run_id).spec
    return DetailOut(**fields, parameters={"params": spec.params, "auguments": spec.auguments})
