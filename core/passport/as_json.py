"""Pure. A passport as JSON: every figure and every hash, and a hash of it all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from core.ab.plain import plain
from core.evaluations import words
from core.passport.document import Document, Unknown
from core.passport.structure import Measured, Passport

SCHEMA = 1
"""Rises when a field changes its meaning or goes away."""


def render(passport: Passport, document: Document) -> dict[str, Any]:
    """`document` gives the sentences on what is not known, in the reader's language.

    Each decision has its `evidence` as the ledger keeps it; its `evidence_hash` is the SHA-256 of that, as JSON
    with sorted keys and without spaces, letters as they are and not as \\u…, in UTF-8: what `fingerprint` hashes.
    """
    found = {
        each.name: getattr(passport, each.name) for each in fields(passport) if each.name != "evaluation"
    }
    said: dict[str, Any] = {
        "schema": "veritrain.passport",
        "schema_version": SCHEMA,
        **{name: _values(value) for name, value in found.items()},
        "evaluation": {
            "metrics": passport.evaluation.metrics,
            "per_class": passport.evaluation.per_class,
            "confusion": passport.evaluation.confusion,
            "measured": _measured(passport.evaluation.measured),
        },
        "sections": [
            {"name": each.name, "title": each.title, "model_card": each.card or None}
            for each in document.sections
        ],
        "not_known": [
            {"section": section.name, "code": block.code, "text": block.sentence}
            for section in document.sections
            for block in section.blocks
            if isinstance(block, Unknown)
        ],
    }
    told: dict[str, Any] = plain(said)
    return told | {"sha256": fingerprint(told)}


def fingerprint(told: Mapping[str, Any]) -> str:
    """SHA-256 of all fields but `sha256`, as JSON with sorted keys and without spaces."""
    rest = {name: value for name, value in told.items() if name != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _values(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_values(each) for each in value]
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value


def _measured(found: Measured | None) -> dict[str, Any] | None:
    """Without pictures, and without the places of single images."""
    if found is None:
        return None
    return {
        "n": found.n,
        "wrong": found.wrong,
        "accuracy": asdict(found.accuracy),
        "macro_f1": asdict(found.macro_f1),
        "calibration": asdict(found.calibration),
        "slices": [
            {each.name: getattr(slice, each.name) for each in fields(slice) if each.name != "rows"}
            | {
                "right": asdict(slice.right),
                "bounds": slice.bounds and [float(edge) for edge in slice.bounds],
            }
            for slice in found.slices
        ],
        "failures": [
            {name: value for name, value in asdict(each).items() if name != "picture"}
            for each in found.failures
        ],
        "advice": [{"kind": each.kind, "text": words.advice(each)} for each in found.advice],
    }
