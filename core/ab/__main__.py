"""Statistics for scripts: `python -m core.ab < cases.json`.

Reads {"cases": [{"id", "method", "input"}]} and prints {"results": {id: {key: number}}}. A case that
names keys in `expected` or `expected_keys` gets just these; one that cannot be computed gets {"error"}.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from core.ab.statistics import compute
from core.errors import VeritrainError
from core.i18n import gettext


def main() -> int:
    try:
        cases = json.load(sys.stdin)["cases"]
    except (ValueError, KeyError, TypeError):
        print(
            'Standard input must be JSON such as {"cases": [{"id": …, "method": …, "input": …}]}.',
            file=sys.stderr,
        )
        return 2
    results = {str(case.get("id", number)): answer(case) for number, case in enumerate(cases)}
    json.dump({"results": results}, sys.stdout, indent=1)
    print()
    return 1 if any("error" in found for found in results.values()) else 0


def answer(case: dict[str, Any]) -> dict[str, Any]:
    try:
        found = compute(str(case.get("method")), case.get("input") or {})
    except VeritrainError as error:
        return {"error": error.text(gettext)}
    keys = case.get("expected") or case.get("expected_keys") or found
    return {key: _plain(found[key]) for key in keys if key in found}


def _plain(value: Any) -> Any:
    """JSON knows no infinity and no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    sys.exit(main())
