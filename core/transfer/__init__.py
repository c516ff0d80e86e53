"""Image classification data coming in from elsewhere and going out again."""

from core.transfer.formats import FORMATS, Conflict, Options
from core.transfer.imports import Import, get, history, resume, start, stop
from core.transfer.kept import forget, keep, kept
from core.transfer.plans import Plan, permit, plan
from core.transfer.sources import directory

__all__ = [
    "FORMATS", "Conflict", "Import", "Options", "Plan",
    "directory", "forget", "get", "history", "keep", "kept", "permit", "plan", "resume", "start", "stop",
]  # fmt: skip
