"""Pure. What a search over parameters may try: `OptunaParams` (optuna_params.yaml)."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from core.errors import InvalidInput
from core.params.fields import N_, Group, form_fields, param
from core.params.models import Params


class SearchSpace(Group):
    """What may be tried for one parameter: a list of `choices`, or all from `low` to `high`."""

    choices: list[Any] | None = None
    low: float | None = None
    high: float | None = None
    log: bool | None = None


class OptunaParams(Group):
    """optuna_params.yaml: how many trials, and from where to where."""

    schema_version: Literal[1] = 1
    trials: int = param(
        20, N_("Trials"), N_("How many trainings are tried."), unit=N_("runs"), low=1, high=1000, step=1
    )
    parallel: int = param(
        1,
        N_("At the same time"),
        N_("How many trials run beside each other; more than there are workers wait in the queue."),
        unit=N_("runs"),
        low=1,
        high=16,
        step=1,
    )
    hours: float = param(
        0.0,
        N_("Time"),
        N_("After so long no further trial begins; 0 sets no limit."),
        unit=N_("hours"),
        low=0.0,
        high=1000.0,
        step=1.0,
    )
    sampler: Literal["tpe", "random"] = param(
        "tpe",
        N_("Proposals"),
        N_("How the next trial's values are found."),
        choices={
            "tpe": N_("From what was good so far (TPE)"),
            "random": N_("At random"),
        },
    )
    pruner: Literal["median", "halving", "none"] = param(
        "median",
        N_("Giving up early"),
        N_("When a trial that does not look good is ended, so that others get its time."),
        choices={
            "median": N_("When it is worse than half of the others were then"),
            "halving": N_("Unless it is among the best third (successive halving)"),
            "none": N_("Never"),
        },
    )
    earlier: bool = param(
        True,
        N_("Learn from earlier runs"),
        N_(
            "Finished runs on the same images that differ in nothing but what is searched count as trials already "
            "done."
        ),
    )
    search: dict[str, SearchSpace] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        fields = {field.name: field for field in form_fields(Params)}
        for name, space in self.search.items():
            field = fields.get(name)
            if field is None:
                raise InvalidInput("“search.{field}” is not a parameter of params.yaml.", field=name)
            if (space.choices is None) == (space.low is None) or (space.low is None) != (space.high is None):
                raise InvalidInput("“search.{field}” needs either choices, or low and high.", field=name)
            tried = [space.low, space.high] if space.choices is None else space.choices
            for value in tried:
                if field.kind == "choice":
                    allowed = value in field.choices
                elif field.low is None or field.high is None:
                    allowed = isinstance(value, type(field.default))
                else:
                    allowed = isinstance(value, int | float) and field.low <= value <= field.high
                if not allowed:
                    raise InvalidInput(
                        "“search.{field}” would try {value}, which params.yaml does not allow there.",
                        field=name,
                        value=value,
                    )
            if space.low is not None and space.high is not None and space.low >= space.high:
                raise InvalidInput("“search.{field}”: low must be smaller than high.", field=name)
        return self
