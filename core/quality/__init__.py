"""Dataset quality: measures, findings with a fix, and the gate before a training.

Pure: measures, twins, doubts, kinds, rules, gate, drift, effect, report. Stored: clusters, findings, checks, trust.
"""
