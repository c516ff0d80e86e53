"""Pure. Where the app and the supervisor of model servers leave word for each other in the broker, and how the
gateway sends images to a model server (jobs.model_server)."""

from collections.abc import Iterable

WANTED_KEY = "veritrain:deployments"
"""Hash: deployment id → {"uri": "models:/name/version", "files": {name: SHA-256} or null, "replicas": 1}; written by
the app."""
SEEN_KEY = "veritrain:deployments:state"
"""Hash: deployment id → {"status", "url", "detail"}; written by jobs.serve. `url`: those that are up, a space between."""
ALIVE_KEY = "veritrain:serve:alive"
"""Set by jobs.serve in each of its rounds; health checks ask for it."""
ALIVE_SECONDS = 15
"""Life of that key; a round may take seconds while servers are stopped."""
IMAGES_PATH = "/images"
"""Where a model server takes images as they are, see `framed`; it answers as MLflow's `/invocations` does."""


def framed(images: Iterable[bytes]) -> bytes:
    """The body for IMAGES_PATH: the bytes of each image behind their number, four bytes, the highest first."""
    return b"".join(part for image in images for part in (len(image).to_bytes(4, "big"), image))
