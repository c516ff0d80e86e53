"""Stored. The gate before production: lines, each with its evidence, on which a promotion is decided."""

from core.gate.judging import in_production, lines, look
from core.gate.lines import ACCURACY, GREEN, OPEN, RED, VERDICT, Line, Refused

__all__ = [
    "ACCURACY",
    "GREEN",
    "OPEN",
    "RED",
    "VERDICT",
    "Line",
    "Refused",
    "in_production",
    "lines",
    "look",
]
