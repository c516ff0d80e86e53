"""What the prediction gateway takes and answers, for its documentation."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from core.gateway import inputs

FORM: dict[str, Any] = {
    "type": "object",
    "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
    "required": ["files"],
}
IMAGE: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "description": "base64 of the file's bytes"},
        {
            "type": "object",
            "description": "either `base64` or `url`",
            "properties": {name: {"type": "string"} for name in ("name", "base64", "url")},
        },
    ]
}


def _list(field: str, items: dict[str, Any], description: str) -> dict[str, Any]:
    properties = {field: {"type": "array", "items": items, "minItems": 1}}
    return {"type": "object", "description": description, "properties": properties, "required": [field]}


BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": FORM},
            "application/json": {
                "schema": {
                    "oneOf": [
                        _list("images", IMAGE, "for models that are trained here"),
                        _list("texts", {"type": "string"}, "for a model that takes one text"),
                        _list(
                            "user_ids",
                            {"anyOf": [{"type": "integer"}, {"type": "string"}]},
                            "for a model that takes a user's id",
                        ),
                        _list("rows", {"type": "object"}, "an object of columns each, for any other model"),
                    ]
                }
            },
        },
    }
}
INVOCATIONS: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": {name: {} for name in inputs.FORMATS}}
            }
        },
    }
}


class PredictionOut(BaseModel):
    name: str
    label: str | None
    confidence: float | None
    probabilities: dict[str, float]
    error: str | None


class OutputOut(BaseModel):
    """Of a text, user or row."""

    output: Any
    """What the model said: a number, a text, an object of columns."""


class AnswersOut(BaseModel):
    model: str
    version: int
    """That answered."""
    predictions: list[PredictionOut] | list[OutputOut]
