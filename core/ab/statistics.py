"""Pure. Every statistic by its name, from plain data to plain data: what `python -m core.ab` and REST offer.

The signs are those of the published examples of each method: `welch_t`, `paired_t`, `t_from_summary`
and `newcombe_hybrid_score_ci` state A − B, everything else B − A.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from scipy import stats

from core.ab import (
    assignment,
    bayes,
    duel,
    many,
    means,
    mismatch,
    power,
    proportions,
    quantiles,
    ranks,
    ratios,
    sequences,
)
from core.ab.moments import Moments, Pairs
from core.errors import InvalidInput

Input = Mapping[str, Any]
Answer = dict[str, Any]


def compute(method: str, given: Input) -> Answer:
    """The answer of one method. Raises InvalidInput for a method or an input that is not right."""
    found = METHODS.get(method)
    if found is None:
        raise InvalidInput(
            "“{method}” is not a method; there are: {all}.", method=method, all=", ".join(sorted(METHODS))
        )
    try:
        return found(given)
    except KeyError as error:
        raise InvalidInput(
            "“{method}” needs “{field}” in its input.", method=method, field=str(error.args[0])
        ) from error
    except (TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise InvalidInput(
            "The input of “{method}” cannot be computed: {reason}.", method=method, reason=str(error)
        ) from error


def _arm(given: Any) -> Moments:
    """An arm as a list of values, or as n with sum and sumsq, successes, or mean and sd."""
    if not isinstance(given, Mapping):
        return Moments.of(given)
    if "successes" in given:
        return Moments.of_counts(given["n"], given["successes"])
    if "sd" in given:
        return Moments(given["n"], given["mean"], given["sd"] ** 2 * (given["n"] - 1))
    return Moments.of_sums(given["n"], given["sum"], given["sumsq"])


def _arms(given: Input) -> tuple[Moments, Moments]:
    return _arm(given["a"]), _arm(given["b"])


def _count(given: Input) -> tuple[int, int]:
    return given["successes"], given["n"]


def _counts(given: Input) -> tuple[tuple[int, int], tuple[int, int]]:
    return _count(given["a"]), _count(given["b"])


def _alpha(given: Input) -> float:
    alpha = float(given.get("alpha", 0.05))
    if not 0 < alpha < 1:
        raise InvalidInput("α lies between 0 and 1; {x} does not.", x=alpha)
    return alpha


def _as_share(given: Input, default: str) -> bool:
    effect = given.get("effect", default)
    if effect not in ("relative", "absolute"):
        raise InvalidInput("An effect is “relative” or “absolute”, not “{x}”.", x=effect)
    return bool(effect == "relative")


def _welch_t(given: Input) -> Answer:
    a, b = _arms(given)
    found = means.welch(a, b, _alpha(given))
    return {
        "t": -found.t,
        "df": found.df,
        "p": found.p,
        "ci": [-found.high, -found.low],
        "mean_a": a.mean,
        "mean_b": b.mean,
    }


def _paired_t(given: Input) -> Answer:
    found = means.paired(given["a"], given["b"], _alpha(given))
    return {"t": -found.t, "df": found.df, "p": found.p, "ci": [-found.high, -found.low]}


def _t_from_summary(given: Input) -> Answer:
    a, b = (
        _arm({"n": given[f"n_{arm}"], "mean": given[f"mean_{arm}"], "sd": given[f"sd_{arm}"]}) for arm in "ab"
    )
    welch, pooled = means.welch(a, b), means.pooled(a, b)
    return {
        "t_welch": -welch.t,
        "df_welch": welch.df,
        "p_welch": welch.p,
        "t_pooled": -pooled.t,
        "df_pooled": pooled.df,
        "p_pooled": pooled.p,
    }


def _difference(found: means.Difference) -> Answer:
    return {"est": found.est, "ci": [found.low, found.high], "se": found.se, "p": found.p, "df": found.df}


def _relative(given: Input) -> Answer:
    return _difference(means.relative(*_arms(given), _alpha(given)))


def _absolute(given: Input) -> Answer:
    return _difference(means.welch(*_arms(given), _alpha(given)))


def _asymptotic(given: Input) -> Answer:
    found = sequences.asymptotic(
        *_arms(given), given["N_star"], _alpha(given), as_share=_as_share(given, "absolute")
    )
    return {"est": found.est, "se": found.se, "ci": [found.low, found.high], "p": found.p}


def _mixture(given: Input) -> Answer:
    v = given["v"]
    rho = sequences.normal_mixture_rho(given["v_opt"], given["alpha_opt"])
    return {
        "best_rho": rho,
        "bound_on_sum_at_v": sequences.normal_mixture_bound(v, rho, _alpha(given)),
        "log_mixture_s10_v100": sequences.log_normal_mixture(10, 100, rho),
    }


def _bernoulli(given: Input) -> Answer:
    return {"ci": list(sequences.bernoulli(*_count(given), _alpha(given), given["t_opt"]))}


def _msprt(given: Input) -> Answer:
    n, variance, tau2 = given["n_per_arm"], 2 * given["sigma2"], given["tau2"]
    found = sequences.msprt(given["diff_means"], n, variance, tau2)
    return {
        "lambda": found,
        "p_always_valid": min(1.0, 1 / found),
        "halfwidth": sequences.msprt_halfwidth(n, variance, tau2, _alpha(given)),
    }


def _srm(given: Input) -> Answer:
    p = mismatch.fixed(given["users"], given["weights"])
    return {"p": p, "srm_at_0.001": p < mismatch.ALARM}


def _sequential_srm(given: Input) -> Answer:
    factor = mismatch.log_bayes_factor(given["users"], given["weights"], given.get("dirichlet_alpha"))
    return {"bayes_factor": math.exp(factor), "p_at_this_look": min(1.0, math.exp(-factor))}


def _table(found: proportions.Table) -> Answer:
    return {"chi2": found.chi2, "df": found.df, "p": found.p}


def _k_arm(given: Input) -> Answer:
    return _table(proportions.of_arms(list(zip(given["successes"], given["n"], strict=True))))


def _two_prop_z(given: Input) -> Answer:
    z, p = proportions.pooled_z(*zip(given["successes"], given["n"], strict=True))
    return {"z": z, "p": p}


def _two_prop_diff(given: Input) -> Answer:
    a, b = _counts(given)
    low, high, p = proportions.wald(a, b, _alpha(given))
    return {"diff": b[0] / b[1] - a[0] / a[1], "ci": [low, high], "p": p}


def _newcombe(given: Input) -> Answer:
    a, b = _counts(given)
    low, high = proportions.newcombe(a, b, _alpha(given))
    return {"diff": a[0] / a[1] - b[0] / b[1], "ci": [-high, -low]}


def _wilson(given: Input) -> Answer:
    return {"ci": list(proportions.wilson(*_count(given), _alpha(given)))}


def _fisher(given: Input) -> Answer:
    both, less = proportions.fisher(given["table"])
    return {"p_two_sided": both, "p_less": less}


def _mann_whitney(given: Input) -> Answer:
    side = given.get("alternative", "two-sided")
    exact = stats.mannwhitneyu(given["a"], given["b"], alternative=side, method="exact")
    normal = stats.mannwhitneyu(given["a"], given["b"], alternative=side, method="asymptotic")
    return {
        "U": float(exact.statistic),
        "p_exact": float(exact.pvalue),
        "p_asymptotic_cc": float(normal.pvalue),
    }


def _brunner_munzel(given: Input) -> Answer:
    levels = sorted({*given["a"], *given["b"]})
    a, b = (ranks.histogram(given[arm], levels) for arm in "ab")
    found = ranks.brunner_munzel(a, b, _alpha(given))
    return {
        "w": found.statistic,
        "p": found.p,
        "df": found.df,
        "prob_b_greater_plus_half_tie": found.superiority,
        "ci": [found.low, found.high],
    }


def _mann_whitney_counts(given: Input) -> Answer:
    a, b = given["counts_a_1to5"], given["counts_b_1to5"]
    found = ranks.mann_whitney_counts(a, b)
    one, two = (
        Moments.of_sums(
            sum(counts),
            sum(n * value for value, n in enumerate(counts, 1)),
            sum(n * value**2 for value, n in enumerate(counts, 1)),
        )
        for counts in (a, b)
    )
    welch = means.welch(one, two)
    return {"U_b": found.u_b, "z": found.z, "p": found.p, "mean_diff": welch.est, "welch_p": welch.p}


def _effect(given: Input) -> Answer:
    d, g = means.effect_size(*_arms(given))
    return {"cohens_d": d, "hedges_g": g}


def _corrections(given: Input) -> Answer:
    alpha = _alpha(given)
    return {
        f"{name}_rejected": sum(p <= alpha for p in adjust(given["p"]))
        for name, adjust in (
            ("bh", many.benjamini_hochberg),
            ("holm", many.holm),
            ("bonferroni", many.bonferroni),
        )
    }


def _holm(given: Input) -> Answer:
    adjusted = many.holm(given["p"])
    return {"holm_adjusted": adjusted, "reject": [p <= _alpha(given) for p in adjusted]}


def _power_prop(given: Input) -> Answer:
    p1, p2, alpha = given["p1"], given["p2"], _alpha(given)
    return {
        "power": power.shares(given["n_per_arm"], p1, p2, alpha),
        "n_for_90pct": power.shares_n(p1, p2, 0.9, alpha),
    }


def _posterior(found: bayes.Posterior) -> Answer:
    return {
        "est": found.mean,
        "ci": [found.low, found.high],
        "sd": found.sd,
        "chance_to_win": found.chance_to_win,
        "risk": [found.loss_keep, found.loss_ship],
    }


def _flat(given: Input) -> Answer:
    return _posterior(
        bayes.gaussian(*_arms(given), alpha=_alpha(given), as_share=_as_share(given, "relative"))
    )


def _with_prior(given: Input) -> Answer:
    prior = given["prior_mean"], given["prior_var"]
    share = _as_share(given, "relative")
    return _posterior(bayes.gaussian(*_arms(given), prior, _alpha(given), as_share=share))


def _ratio(given: Input) -> Answer:
    a, b = (
        Pairs.of([count for _, count in given[f"{arm}_users"]], [total for total, _ in given[f"{arm}_users"]])
        for arm in "ab"
    )
    found = ratios.ratio_difference(a, b, _alpha(given))
    return {
        "ratio_a": found.ratio_a,
        "ratio_b": found.ratio_b,
        "var_a": found.var_a,
        "var_b": found.var_b,
        "z": found.z,
        "p": found.p,
        "ci": [found.low, found.high],
    }


def _before_after(given: Input) -> tuple[Pairs, Pairs]:
    return Pairs.of(given["pre_a"], given["post_a"]), Pairs.of(given["pre_b"], given["post_b"])


def _cuped(given: Input) -> Answer:
    a, b = _before_after(given)
    found = ratios.cuped(a, b, _alpha(given))
    return {
        "theta": found.theta,
        "diff_adjusted": found.adjusted.est,
        "ci_adjusted": [found.adjusted.low, found.adjusted.high],
        "p_adjusted": found.adjusted.p,
        "p_unadjusted": means.welch(a.y, b.y).p,
    }


def _anova_tukey(given: Input) -> Answer:
    f, p = means.anova(given["arms"])
    pairs = means.tukey(given["arms"])
    return {"F": f, "p": p} | {f"tukey_p_{later}_{earlier}": p for (later, earlier), p in pairs.items()}


def _dunnett(given: Input) -> Answer:
    return {"p": list(means.dunnett(given["arms"], given["control"]).values())}


def _bradley_terry(given: Input) -> Answer:
    if "wins_a" in given:
        [gap, _] = duel.bradley_terry([[0, given["wins_a"]], [given["wins_b"], 0]], 1)
        return {"log_odds": gap, "elo_gap": gap * duel.ELO}
    reference = given["teams"].index(given["reference"])
    ability = duel.bradley_terry(given["wins_row_over_col"], reference)
    return {"ability": [value for i, value in enumerate(ability) if i != reference]}


def _ranges(given: Input) -> Answer:
    n = given["n_variations"]
    weights = given.get("weights") or [1 / n] * n
    found = assignment.ranges(weights, given["coverage"])
    return {"flat": [edge for part in found for edge in part]}


def _quantile_ranks(given: Input) -> Answer:
    lower, upper = quantiles.ranks(given["n"], given["q"], _alpha(given))
    return {"lower_rank": lower, "upper_rank": upper}


def _quantile_difference(given: Input) -> Answer:
    a, b = (quantiles.Quantile(arm["q_hat"], arm["lo"], arm["hi"]) for arm in (given["a"], given["b"]))
    gap, low, high, p = quantiles.difference(a, b, _alpha(given))
    return {"diff": gap, "ci": [low, high], "p": p}


METHODS: Mapping[str, Callable[[Input], Answer]] = {
    "welch_t": _welch_t,
    "paired_t": _paired_t,
    "t_from_summary": _t_from_summary,
    "welch_relative_delta": _relative,
    "welch_from_aggregates": _absolute,
    "proportion_relative_delta": _relative,
    "asymptotic_cs": _asymptotic,
    "normal_mixture_boundary": _mixture,
    "bernoulli_confidence_sequence": _bernoulli,
    "msprt": _msprt,
    "srm_chi2": _srm,
    "sequential_srm_bayes_factor": _sequential_srm,
    "chi2_k_arm": _k_arm,
    "chi2_table": lambda given: _table(proportions.chi_square(given["table"])),
    "two_prop_z_pooled": _two_prop_z,
    "two_prop_diff_ci": _two_prop_diff,
    "newcombe_hybrid_score_ci": _newcombe,
    "wilson_ci": _wilson,
    "fisher_exact": _fisher,
    "mann_whitney": _mann_whitney,
    "brunner_munzel_ordinal": _brunner_munzel,
    "mann_whitney_ties_from_counts": _mann_whitney_counts,
    "cohens_d_hedges_g": _effect,
    "cohens_h": lambda given: {"h": proportions.cohens_h(given["p1"], given["p2"])},
    "bh_holm_bonferroni": _corrections,
    "holm": _holm,
    "power_t": lambda given: {
        "power": power.means(given["n_per_arm"], given["delta"], given["sd"], _alpha(given))
    },
    "power_t_solve_n": lambda given: {
        "n_per_arm": power.means_n(given["delta"], given["sd"], given["power"], _alpha(given))
    },
    "power_prop": _power_prop,
    "power_prop_solve_n": lambda given: {
        "n_per_arm": power.baseline_n(given["baseline"], given["mde_abs"], given["power"], _alpha(given))
    },
    "bayes_flat_prior_gaussian": _flat,
    "bayes_gaussian_prior": _with_prior,
    "beta_binomial_prob_b_beats_a": lambda given: {"p_b_gt_a": bayes.beta_binomial(*_counts(given))},
    "ratio_delta": _ratio,
    "cuped_theta_pooled": lambda given: {"theta": ratios.theta(*_before_after(given))},
    "cuped": _cuped,
    "anova_tukey": _anova_tukey,
    "dunnett_vs_control": _dunnett,
    "bradley_terry_mle": _bradley_terry,
    "coverage_ranges": _ranges,
    "quantile_ci_order_statistics": _quantile_ranks,
    "quantile_difference": _quantile_difference,
}
