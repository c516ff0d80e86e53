"""The study behind a tuning, in Optuna's own storage; optuna-dashboard reads the same."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal

import optuna
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from core.params import OptunaParams
from core.spec import TuneSpec

PRUNED_AT = "pruned_at"
"""Attribute of a trial: the epoch after which it was given up."""
REASON = "reason"
"""Attribute of a trial that could not be tried: why."""
RUN = "run"
"""Attribute of a trial: the run that it is or was."""
WARM_TRIALS = 5
"""Finished trials before others are given up early, and random trials before TPE proposes."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


@lru_cache(maxsize=4)
def storage(url: str) -> RDBStorage:
    """Made on first use; the tables of a newer Optuna are migrated by `optuna storage upgrade`."""
    options = {"connect_args": {"timeout": 30}} if url.startswith("sqlite") else None
    return RDBStorage(url, engine_kwargs=options)


def study(url: str, spec: TuneSpec) -> Study:
    """The tuning's study, made on first use."""
    wanted = OptunaParams.model_validate(spec.search)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        found = optuna.create_study(
            storage=storage(url),
            study_name=name(spec.run_id),
            direction=direction(spec.metric),
            load_if_exists=True,
            pruner=_pruner(wanted),
        )
        # Made anew for each look: the number of trials stands for its place in the sequence of chance.
        found.sampler = _sampler(wanted, spec.seed + len(found.get_trials(deepcopy=False)))
    return found


def name(tuning_id: int) -> str:
    return f"tuning-{tuning_id}"


def direction(metric: str) -> Literal["minimize", "maximize"]:
    return "minimize" if metric.endswith("loss") else "maximize"


def best(metric: str, values: Iterable[float]) -> float | None:
    """The best that a metric reached; None without values."""
    chosen = min if direction(metric) == "minimize" else max
    return chosen(values, default=None)


def trial(of: Study, frozen: FrozenTrial) -> Trial:
    """The live trial behind a frozen one, to report to."""
    return Trial(of, frozen._trial_id)


def running(of: Study) -> list[FrozenTrial]:
    return [each for each in of.get_trials(deepcopy=False) if each.state == TrialState.RUNNING]


def own(of: Study) -> list[FrozenTrial]:
    """The study's trials without those taken over from earlier runs."""
    return [each for each in of.get_trials(deepcopy=False) if not each.user_attrs.get("earlier")]


def take_over(of: Study, values: dict[str, Any], spaces: dict[str, Any], value: float, run_id: int) -> None:
    """An earlier run with these values, as if it had been a trial."""
    of.add_trial(
        optuna.create_trial(
            params=values, distributions=spaces, value=value, user_attrs={RUN: run_id, "earlier": True}
        )
    )


def _sampler(search: OptunaParams, seed: int) -> optuna.samplers.BaseSampler:
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    # `constant_liar`: trials that still run count as bad ones, so that parallel ones differ.
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=WARM_TRIALS, constant_liar=True)


def _pruner(search: OptunaParams) -> optuna.pruners.BasePruner:
    if search.pruner == "none":
        return optuna.pruners.NopPruner()
    if search.pruner == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    return optuna.pruners.MedianPruner(n_startup_trials=WARM_TRIALS, n_warmup_steps=1)
