"""Pure. What params.yaml and auguments.yaml must agree on."""

from __future__ import annotations

from core.errors import InvalidInput
from core.params.architectures import ARCHITECTURES
from core.params.auguments import Auguments
from core.params.models import Params

MOST_PATCHES = 64
"""Patches of one image: each goes through the network by itself."""


def network_side(params: Params, auguments: Auguments) -> int:
    """Side in pixels of what the network sees: the image's, or that of a patch of it."""
    patching = auguments.preprocessing.patching
    return patching.size if patching.enabled else params.data.image_size


def check_together(params: Params, auguments: Auguments) -> None:
    """Raises InvalidInput where patches do not go with the image size or the network."""
    patching = auguments.preprocessing.patching
    if not patching.enabled:
        return
    side, image = patching.size, params.data.image_size
    if side > image:
        raise InvalidInput(
            "“preprocessing.patching.size” is {side} pixels, but images are brought to {image}; make “data.image_size” "
            "larger or the patches smaller.",
            side=side,
            image=image,
        )
    network = ARCHITECTURES[params.model.architecture]
    if side % network.multiple:
        raise InvalidInput(
            "“preprocessing.patching.size” is {side}, but {architecture} needs a multiple of {multiple}.",
            side=side,
            architecture=params.model.architecture,
            multiple=network.multiple,
        )
    count = (-(-(image - side) // patching.stride) + 1) ** 2
    if count > MOST_PATCHES:
        raise InvalidInput(
            "Each image would be cut into {count} patches; at most {most} are possible: make "
            "“preprocessing.patching.stride” larger.",
            count=count,
            most=MOST_PATCHES,
        )
