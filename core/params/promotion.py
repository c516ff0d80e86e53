"""Pure. What a version must show before it goes to production: `GatePolicy` (gate.yaml)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from core.params.fields import N_, Group, group, param

Benchmark = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Score = Annotated[float, Field(ge=0.0, le=1.0)]


class SliceRule(Group):
    enabled: bool = param(
        False,
        N_("On"),
        N_("Whether kinds of images, such as dark ones or those of one day, are compared one by one."),
    )
    delta: float = param(
        0.05,
        N_("Allowed difference"),
        N_(
            "How much smaller the share of right answers may be on any kind; what chance makes does not count."
        ),
        low=0.0,
        high=1.0,
        step=0.01,
    )


class ChampionRules(Group):
    verdict: bool = param(
        True,
        N_("Better in an A/B test"),
        N_("The newest A/B test of both must have ended with the verdict that this version is better."),
    )
    accuracy: bool = param(
        True,
        N_("Not less accurate"),
        N_("It must be right at least as often where both were measured on the same test images."),
    )
    slices: SliceRule = group(
        SliceRule, N_("Not worse on any kind of images"), N_("Kinds with at least 20 test images of both.")
    )


class MetricRule(Group):
    enabled: bool = param(
        False, N_("Ask for a minimum"), N_("Whether the version must reach a mark of its own.")
    )
    name: Literal["accuracy", "macro_f1"] = param(
        "accuracy",
        N_("Mark"),
        N_("What is measured on the test images."),
        choices={"accuracy": N_("Accuracy"), "macro_f1": N_("Macro F1: every label counts the same")},
    )
    minimum: float = param(
        0.9,
        N_("Minimum"),
        N_("The lower end of the interval at 95 % must reach it, so that few lucky images are not enough."),
        low=0.0,
        high=1.0,
        step=0.01,
    )


class LatencyRule(Group):
    enabled: bool = param(False, N_("Limit the time"), N_("Whether an answer may take only so long."))
    limit: float = param(
        100.0,
        N_("Longest time"),
        N_("Time for one image, from its file to the answer, measured after the training where it ran."),
        unit=N_("milliseconds"),
        low=0.1,
        high=60_000.0,
        step=10.0,
    )


class SizeRule(Group):
    enabled: bool = param(False, N_("Limit the size"), N_("Whether the model's files may only be so large."))
    limit: float = param(
        500.0,
        N_("Largest size"),
        N_("All files of the version together."),
        unit=N_("MB"),
        low=0.1,
        high=100_000.0,
        step=10.0,
    )


class ReleaseRules(Group):
    dataset: bool = param(
        False,
        N_("The dataset gate passes"),
        N_("The theme's images must pass their own gate, and none may be waiting for its check."),
    )
    approval: bool = param(
        False,
        N_("A second person approves"),
        N_("A trainer or administrator other than the one who promotes must have approved the version."),
    )


class GatePolicy(Group):
    """gate.yaml: the promotion gate of a theme."""

    schema_version: Literal[1] = 1
    champion: ChampionRules = group(
        ChampionRules,
        N_("Compared with the version in production"),
        N_("Where none is in production, there is nothing to compare with."),
    )
    metric: MetricRule = group(
        MetricRule, N_("A minimum on its test images"), N_("Whatever is in production.")
    )
    benchmarks: dict[Benchmark, Score] = param(
        {}, N_("Benchmarks"), N_("The lowest score that counts, from 0 to 1, for each benchmark by its name.")
    )
    latency: LatencyRule = group(LatencyRule, N_("Time for one image"), N_("How fast it must answer."))
    size: SizeRule = group(SizeRule, N_("Size"), N_("How large it may be."))
    release: ReleaseRules = group(ReleaseRules, N_("Data and people"), N_("Who and what else has a say."))
