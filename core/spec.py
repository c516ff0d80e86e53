"""Pure. The specification of a job: everything it needs, frozen when it starts.

A job is a pure function of its spec plus the files it names. The same JSON is kept in
`finetuning_jobs.spec`, travels on the queue, and lies beside the run as `spec.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.versions import MODEL_NAME


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CodeVersion(_Frozen):
    """Which source made a run; `dirty` means the working tree differed from the commit."""

    commit: str
    dirty: bool
    source_hash: str  # SHA-256 over core/ and jobs/


class SnapshotRef(_Frozen):
    id: int
    hash: str
    path: str  # key in the file store


class Continued(_Frozen):
    """The checkpoint of an earlier run that a run goes on from."""

    run_id: int
    path: str  # below the artifacts folder
    sha256: str
    epochs: int  # that it had run


def best_beside(start: Path) -> Path:
    """Where the best weights lie that belong to a checkpoint which another run goes on from."""
    return start.with_name(f"{start.stem}-best{start.suffix}")


class Trial(_Frozen):
    """Which trial of which tuning a run is; its model is neither measured on test images nor registered."""

    tuning: int
    number: int
    mlflow_parent: str  # MLflow's run of the tuning


class RunSpec(_Frozen):
    """One training job. `labels` fixes the order of the model's outputs."""

    run_id: int
    kind: Literal["vision", "trial"]
    theme_id: int
    theme_name: str
    model_name: str = Field(pattern=f"^{MODEL_NAME}$")
    labels: tuple[str, ...]
    snapshot: SnapshotRef
    params: dict[str, Any]  # core.params.Params, resolved
    auguments: dict[str, Any]  # core.params.Auguments, resolved
    code: CodeVersion
    created_by: str
    repeats: int | None = None  # the run whose data and parameters these are
    continues: Continued | None = None
    trial: Trial | None = None  # also where its model was taken later


class TuneSpec(_Frozen):
    """One search for better parameters. No worker runs it: core.tuning.conductor keeps it going."""

    run_id: int
    kind: Literal["tune"]
    theme_id: int
    base: RunSpec
    """The training whose parameters are varied; it has no number."""
    search: dict[str, Any]  # core.params.OptunaParams
    metric: str  # of the validation images: valid_loss, valid_accuracy or valid_macro_f1
    seed: int
    created_by: str


class PreflightSpec(_Frozen):
    """One job that tries a training on a few images before it starts."""

    run_id: int
    kind: Literal["preflight"]
    theme_id: int
    trial: RunSpec
    """The run that would start."""
    about: str
    """What it is true of: core.preflight.fingerprint."""
    code: CodeVersion | None
    created_by: str


class VersionRef(_Frozen):
    id: int  # model_registry.id
    uri: str  # models:/name/version


class SuggestSpec(_Frozen):
    """One job that suggests labels. `labels` and `label_ids` are in the order of the model's outputs."""

    run_id: int
    kind: Literal["suggest"]
    theme_id: int
    version: VersionRef
    labels: tuple[str, ...]
    label_ids: tuple[int, ...]
    manifest: str  # key in the file store
    code: CodeVersion | None
    created_by: str


class PredictSpec(_Frozen):
    """One job that predicts the images of a batch. `labels` is in the order of the model's outputs."""

    run_id: int
    kind: Literal["predict"]
    theme_id: int
    batch_id: int
    version: VersionRef
    labels: tuple[str, ...]
    manifest: str  # key in the file store, see core.prediction_files
    code: CodeVersion | None
    created_by: str


class CheckSpec(_Frozen):
    """One job that checks a theme's images."""

    run_id: int
    kind: Literal["check"]
    theme_id: int
    manifest: str  # key in the file store, see core.quality.check_files
    views: str | None = None  # … of what the last check saw
    judged: str | None = None  # … of what it judged (core.quality.judged), by the same vectors
    map: str | None = None  # … of its map, where it was drawn from the same vectors
    twins: str | None = None  # … of what it compared, by the same vectors
    vectors: int = 0  # model version whose embeddings the manifest has; 0: looks
    max_file_bytes: int
    max_pixels: int
    code: CodeVersion | None
    created_by: str


class TextCheckSpec(_Frozen):
    """One job that checks a version of a text dataset."""

    run_id: int
    kind: Literal["text-check"]
    dataset_id: int
    version_id: int
    rows: str  # key in the file store, see core.texts.rowfile
    shape: str
    rules: dict[str, Any]  # core.quality.texts.rules.Rules
    before: tuple[str, str] | None  # findings and contents that an earlier check saw, keys in the file store
    learnt: str | None = None  # what it learnt of pairs
    anew: bool = False  # judge all pairs together again
    code: CodeVersion | None
    created_by: str


class TextSplitSpec(_Frozen):
    """One job that splits a version of a text dataset."""

    run_id: int
    kind: Literal["text-split"]
    dataset_id: int
    version_id: int
    rows: str  # key in the file store, see core.texts.rowfile
    ratios: tuple[float, float, float]
    seed: int
    likeness: float  # from which on two rows are copies, 0–1
    code: CodeVersion | None
    created_by: str


TRAIN_QUEUE = "train"
"""What needs a model or an accelerator."""
LIGHT_QUEUE = "light"
"""The rest, which takes minutes: it does not wait for trainings that take days."""
PREVIEW_QUEUE = "preview"
"""What a person waits for at the screen, see core.previews; it has no runs, so core.queue does not look at it."""


class PreviewSpec(_Frozen):
    """What `core.previews` asks of the preview worker; no run, nothing of it is kept."""

    params: dict[str, Any]  # core.params.Params, resolved
    auguments: dict[str, Any]  # core.params.Auguments, resolved
    image_ids: tuple[int, ...]
    paths: tuple[str, ...]  # keys in the file store, one for each image
    labels: tuple[int, ...]  # … and a number for its label
    shown: int
    compared: int
    dice: int  # takes the place of epoch and step
    max_pixels: int


class ExplainSpec(_Frozen):
    """What `core.explanations` asks of the warm worker; no run, nothing of it is kept."""

    folder: str  # of the model
    paths: tuple[str, ...]  # keys in the file store


JobSpec = (
    RunSpec | TuneSpec | PreflightSpec | SuggestSpec | PredictSpec | CheckSpec | TextCheckSpec | TextSplitSpec
)
_KINDS: Mapping[str, type[JobSpec]] = {
    "tune": TuneSpec,
    "preflight": PreflightSpec,
    "suggest": SuggestSpec,
    "predict": PredictSpec,
    "check": CheckSpec,
    "text-check": TextCheckSpec,
    "text-split": TextSplitSpec,
}


def job_spec(raw: Mapping[str, Any]) -> JobSpec:
    """The specification of any kind of job. Raises pydantic's ValidationError."""
    return _KINDS.get(raw["kind"], RunSpec).model_validate(raw)
