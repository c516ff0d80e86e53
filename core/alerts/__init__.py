"""Alerts: rules about what deployments are asked and answer, and who is told when one begins or ends."""
