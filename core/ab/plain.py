"""Pure. Findings as JSON can say them."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Any


def plain(value: Any) -> Any:
    """Times in ISO 8601, no NaN, no infinity, tuples as lists."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
