"""Stored. The gate before production: what a theme's policy asks for, line by line, each with its evidence."""

from core.gate.approvals import MAX_NOTE, Approval, approvals_of, approve, of_version
from core.gate.judging import Measured, Outdated, in_production, lines, look, measure
from core.gate.lines import APPROVAL, GREEN, OPEN, RED, Line, Refused
from core.gate.policy import Policy

__all__ = [
    "APPROVAL",
    "GREEN",
    "MAX_NOTE",
    "OPEN",
    "RED",
    "Approval",
    "Line",
    "Measured",
    "Outdated",
    "Policy",
    "Refused",
    "approvals_of",
    "approve",
    "in_production",
    "lines",
    "look",
    "measure",
    "of_version",
]
