"""Pure. The errors people see: one sentence that says what is wrong, where, and what to do.

The sentence is an English gettext message with named fields; the edge (a page, a
route, a job's failure row) puts it in the reader's language with `VeritrainError.text`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class VeritrainError(Exception):
    """Base of every refusal. `status` is its HTTP status; `fields` fill the message."""

    status = 500
    code = "error"

    def __init__(self, message: str, **fields: Any) -> None:
        self.message = message
        self.fields = fields
        super().__init__(self.text())

    def text(self, translate: Callable[[str], str] = str) -> str:
        """The sentence, through `translate` (a gettext function) when one is given."""
        return translate(self.message).format(**self.fields)


class InvalidInput(VeritrainError):
    """What the person or program gave cannot be accepted as it is."""

    status = 422
    code = "invalid-input"


class NotFound(VeritrainError):
    status = 404
    code = "not-found"


class NotSignedIn(VeritrainError):
    status = 401
    code = "not-signed-in"


class NotAllowed(VeritrainError):
    """Signed in, but the role is too low for this."""

    status = 403
    code = "not-allowed"


class Conflict(VeritrainError):
    """The thing exists already, or is in a state in which this cannot be done."""

    status = 409
    code = "conflict"


class TooLarge(VeritrainError):
    status = 413
    code = "too-large"


class TooMany(VeritrainError):
    """Too many attempts; wait and try again."""

    status = 429
    code = "too-many"


class Unavailable(VeritrainError):
    """A part this needs (broker, MLflow, a model server) does not answer now."""

    status = 503
    code = "unavailable"
