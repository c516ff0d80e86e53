"""Pure. Where the app and the supervisor of model servers leave word for each other in the broker, and how the
gateway sends images to a model server (jobs.model_server)."""

from collections.abc import Iterable

WANTED_KEY = "veritrain:deployments"
"""Hash: deployment id → {"uri": "models:/name/version", "files": {name: SHA-256} or null, "replicas": 1}; written by
the app."""
SEEN_KEY = "veritrain:deployments:state"
"""Hash: deployment id → {"status", "url", "detail", "servers"}; written by jobs.serve. `url`: those that are up, a space
between. `servers`: of each {"restarts", "up_since", "ended_at"}, moments as ISO 8601 or null."""
LOGS = "serving"
"""Folder of the artifacts with what the model servers write."""
ALIVE_KEY = "veritrain:serve:alive"
"""Set by jobs.serve in each of its rounds; health checks ask for it."""
ALIVE_SECONDS = 15
"""Life of that key; a round may take seconds while servers are stopped."""
ADDED_BY_MLFLOW = "registered_model_meta"
"""File that MLflow writes beside a copy of a version, which may be where it is kept; nothing of it is loaded."""
IMAGES_PATH = "/images"
"""Where a model server takes images as they are, see `framed`; it answers as MLflow's `/invocations` does."""


def server_name(deployment: int | str, number: int) -> str:
    """Of one of a deployment's servers, counted from 1; its log in LOGS is called so."""
    return str(deployment) if number == 1 else f"{deployment}-{number}"


def framed(images: Iterable[bytes]) -> bytes:
    """The body for IMAGES_PATH: the bytes of each image behind their number, four bytes, the highest first."""
    return b"".join(part for image in images for part in (len(image).to_bytes(4, "big"), image))
