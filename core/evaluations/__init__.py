"""What a finished run's answers to its test images say.

Pure: intervals, calibration, slices, pairs, advice and words. Stored: answers, reports, comparisons.
"""
