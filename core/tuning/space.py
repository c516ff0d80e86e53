"""Pure. The search space of optuna_params.yaml as Optuna's distributions, and parameters with proposed values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from core.params import OptunaParams, Params, check, form_fields, value_at, with_value


def distributions(search: OptunaParams) -> dict[str, BaseDistribution]:
    """One for each parameter that is searched, by its dotted name."""
    kinds = {field.name: field.kind for field in form_fields(Params)}
    found: dict[str, BaseDistribution] = {}
    for name, space in search.search.items():
        if space.choices is not None:
            found[name] = CategoricalDistribution(space.choices)
            continue
        assert space.low is not None and space.high is not None
        if kinds[name] == "int":
            found[name] = IntDistribution(int(space.low), int(space.high), log=bool(space.log))
        else:
            found[name] = FloatDistribution(space.low, space.high, log=bool(space.log))
    return found


def with_proposed(base: Mapping[str, Any], proposed: Mapping[str, Any]) -> Params:
    """The parameters with these values by dotted name. Raises InvalidInput where they contradict each other."""
    nested = dict(base)
    for name, value in proposed.items():
        nested = with_value(nested, name, value)
    return check(nested, Params)


def values_of(params: Mapping[str, Any], search: OptunaParams) -> dict[str, Any] | None:
    """What these parameters have where it is searched; None where that lies outside of the space."""
    found = {}
    for name, space in distributions(search).items():
        value = value_at(params, name)
        try:
            if not space._contains(space.to_internal_repr(value)):
                return None
        except (TypeError, ValueError):
            return None
        found[name] = value
    return found


def same_elsewhere(one: Mapping[str, Any], other: Mapping[str, Any], search: OptunaParams) -> bool:
    """Whether two sets of parameters differ in nothing but what is searched."""
    apart = dict(one), dict(other)
    for name in search.search:
        apart = with_value(apart[0], name, None), with_value(apart[1], name, None)
    return apart[0] == apart[1]
