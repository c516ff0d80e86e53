"""Pure. Where the app and the supervisor of model servers leave word for each other in the broker."""

WANTED_KEY = "veritrain:deployments"
"""Hash: deployment id → {"uri": "models:/name/version", "replicas": 1}; written by the app."""
SEEN_KEY = "veritrain:deployments:state"
"""Hash: deployment id → {"status", "url", "detail"}; written by jobs.serve. `url`: those that are up, a space between."""
ALIVE_KEY = "veritrain:serve:alive"
"""Set by jobs.serve in each of its rounds; health checks ask for it."""
ALIVE_SECONDS = 15
"""Life of that key; a round may take seconds while servers are stopped."""
