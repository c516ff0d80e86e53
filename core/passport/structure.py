"""Pure. All that is known of one model version, as plain values: what its passport says in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.evaluations.advice import Advice
from core.evaluations.calibration import Calibration
from core.evaluations.intervals import Interval
from core.evaluations.slices import Slice
from core.signatures import Column


@dataclass(frozen=True)
class Identity:
    """What it is."""

    version_id: int
    model: str
    """The registered name in MLflow."""
    version: int
    """MLflow's number."""
    semver: str
    stage: str
    aliases: tuple[str, ...]
    """In MLflow: champion, challenger, previous."""
    tags: tuple[str, ...]
    description: str
    """As people wrote it; may be empty."""
    benchmarks: Mapping[str, float]
    """The newest score of each, 0–1, more is better."""
    uri: str
    kind: str
    """See core.signatures.KINDS."""
    architecture: str
    inputs: tuple[Column, ...] | None
    """What it takes; None: images."""
    labels: tuple[str, ...]
    registered_at: datetime
    files: Mapping[str, str] | None
    """SHA-256 by name; None where they were not hashed."""
    checksum: str | None
    size: int | None
    """Bytes."""
    place: str | None
    """Where MLflow keeps the files; None where MLflow did not say."""


@dataclass(frozen=True)
class Purpose:
    theme_id: int
    theme: str
    description: str
    """As people wrote it; may be empty."""
    deleted: bool


@dataclass(frozen=True)
class Given:
    """Labels that one person gave in one way."""

    person: str
    source: str
    """See core.labelling.SOURCES."""
    images: int


@dataclass(frozen=True)
class GateThen:
    """What the log of checks says of the gate when the training began."""

    at: datetime
    """Of the line in the log."""
    passed: bool
    score: int


@dataclass(frozen=True)
class Override:
    """A training in spite of a failed gate."""

    at: datetime
    person: str
    reason: str


@dataclass(frozen=True)
class Data:
    snapshot_id: int
    hash: str
    """Of the snapshot, see core.snapshots."""
    path: str
    """Key of its list in the file store."""
    frozen_at: datetime
    counts: Mapping[str, Mapping[str, int]]
    """Images by split and label."""
    labelled: tuple[Given, ...]
    """Who had given the labels when the training began, most first; what the history does not know is left out."""
    test_hash: str | None
    """Of the test images and their labels, see core.quality.frozen; None where the list is missing."""
    checked_at: datetime | None
    """Of the newest check before the training."""
    gate: GateThen | None
    override: Override | None

    @property
    def images(self) -> int:
        return sum(sum(of.values()) for of in self.counts.values())


@dataclass(frozen=True)
class Training:
    run_id: int
    started_by: str
    created_at: datetime
    ended_at: datetime | None
    params: Mapping[str, Any]
    auguments: Mapping[str, Any]
    code: Mapping[str, Any]
    """commit, dirty, source_hash."""
    continues: int | None
    """The run that it went on from."""
    tuning: int | None
    result: Mapping[str, Any]
    """Device, versions, epochs and times; empty where the run told none."""
    curves: Mapping[str, tuple[tuple[float, float], ...]]
    """(epoch, value) by metric."""


@dataclass(frozen=True)
class Failure:
    """An image that was called wrongly."""

    image_id: int
    file_name: str
    sha256: str
    label: str
    said: str
    confidence: float
    picture: bytes | None
    """A thumbnail (WebP); None where there is none any more."""


@dataclass(frozen=True)
class Measured:
    """What the answers to single test images say."""

    n: int
    accuracy: Interval
    macro_f1: Interval
    calibration: Calibration
    slices: tuple[Slice, ...]
    failures: tuple[Failure, ...]
    """The most confident first."""
    wrong: int
    """Of all n."""
    advice: tuple[Advice, ...]


@dataclass(frozen=True)
class Evaluation:
    metrics: Mapping[str, Mapping[str, Any]]
    """By split, as they were registered."""
    per_class: tuple[Mapping[str, Any], ...]
    """Of the test images: label, precision, recall, f1, support."""
    confusion: tuple[tuple[int, ...], ...]
    """Of the test images, the truth in rows."""
    measured: Measured | None
    """None where the answers to single images were not kept."""


@dataclass(frozen=True)
class Decision:
    """An entry of the ledger."""

    id: int
    at: datetime
    person: str
    from_stage: str
    to_stage: str
    reason: str
    evidence: Mapping[str, Any]
    """What was decided by: the gate's lines, the rules, the approvals, an override's reason."""
    others: Mapping[int, int]
    """MLflow's numbers of the versions that the evidence names, by id."""
    evidence_hash: str
    previous_hash: str
    hash: str


@dataclass(frozen=True)
class Served:
    id: int
    person: str | None
    since: datetime
    status: str
    changed_at: datetime


@dataclass(frozen=True)
class Tested:
    """An A/B test that this version took part in."""

    id: int
    name: str
    status: str
    variant: str
    metric: str
    started_at: datetime | None
    ended_at: datetime | None
    seal: str | None
    intact: bool
    """Whether the plan is the one that was sealed."""
    winner: str | None
    reason: str | None
    verdict: Mapping[str, Any] | None
    """As it was sealed at the end; None where the test has not ended."""


@dataclass(frozen=True)
class Passport:
    made_at: datetime
    identity: Identity
    purpose: Purpose
    data: Data | None
    training: Training | None
    """Both None where it was trained elsewhere."""
    evaluation: Evaluation
    decisions: tuple[Decision, ...]
    deployments: tuple[Served, ...]
    tests: tuple[Tested, ...]
