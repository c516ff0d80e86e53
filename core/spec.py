"""Pure. The run specification: everything a job needs, frozen when the run starts.

A job is a pure function of its spec plus the files it names. The same JSON is kept in
`finetuning_jobs.spec`, travels on the queue, and lies beside the run as `spec.json`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


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


class RunSpec(_Frozen):
    """One training job. `labels` fixes the order of the model's outputs."""

    run_id: int
    kind: Literal["vision"]
    theme_id: int
    theme_name: str
    model_name: str
    labels: tuple[str, ...]
    snapshot: SnapshotRef
    params: dict[str, Any]  # core.params.Params, resolved
    auguments: dict[str, Any]  # core.params.Auguments, resolved
    code: CodeVersion
    created_by: str
