"""The parts of the screen of one A/B test."""
