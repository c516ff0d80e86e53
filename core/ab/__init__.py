"""A/B tests: assignment, statistics, verdict, report.

Everywhere Δ = B − A, n counts users, variances are unbiased unless a formula says otherwise.
"""
