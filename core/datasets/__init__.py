"""Stored. Text datasets: their versions, uploads, differences, splits and exports.

A version never changes, but for what its check found; whatever is done to the rows makes a new one.
"""
