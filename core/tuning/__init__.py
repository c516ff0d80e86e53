"""Searches for better parameters: Optuna proposes, runs of our own are the trials.

`space` and `search` speak Optuna, `tunings` is what people do, `conductor` keeps tunings going. Optuna takes a second
to import: only `space`, `search` and `conductor` do, and the app imports these when a tuning is there.
"""
