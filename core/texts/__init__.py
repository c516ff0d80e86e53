"""Text datasets: readers of files, the one record that all formats become, writers.

Everything here is pure: jobs may import it.
"""
