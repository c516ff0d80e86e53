"""Pure. Images that deployments are asked about, offered to whoever looks at a sample of them.

A listener is called in the thread that answers; it takes what it needs and returns at once.
"""

from __future__ import annotations

from collections.abc import Callable

Listener = Callable[[int, bytes], None]
"""Takes a deployment's id and the bytes of a file that was accepted as an image."""
listeners: list[Listener] = []


def offer(deployment_id: int, data: bytes) -> None:
    """Tell every listener."""
    for listener in tuple(listeners):
        listener(deployment_id, data)
