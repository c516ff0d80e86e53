"""Networks by name, with the weights a training starts from."""

from __future__ import annotations

from pickle import UnpicklingError
from typing import Any
from urllib.error import URLError

import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file

from core.errors import InvalidInput, Unavailable
from core.files import FileStore
from core.params import Auguments, Params, network_side
from jobs.vision import architectures
from jobs.vision.checkpoints import weights_of


def build(params: Params, auguments: Auguments, labels: int, files: FileStore) -> torch.nn.Module:
    """The network a training starts with, drawn from torch's global generator.

    Raises Unavailable when weights cannot be downloaded, InvalidInput when a named file is missing
    or holds another network.
    """
    architecture, size = params.model.architecture, network_side(params, auguments)
    code = architectures.get(architecture)
    network: torch.nn.Module = code.build(labels, size)
    if params.model.weights == "none":
        return network
    state = (
        _downloaded(architecture)
        if params.model.weights == "default"
        else _stored(params.model.weights, files)
    )
    if hasattr(code, "adapted"):
        state = code.adapted(state, size)
    own = network.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    # The last layer differs with the number of labels; anything more is another network.
    if len(fitting) < len(own) - 2:
        raise InvalidInput(
            "The weights “{weights}” are of another network than {architecture}.",
            weights=params.model.weights,
            architecture=architecture,
        )
    network.load_state_dict(fitting, strict=False)
    return network


def _downloaded(architecture: str) -> dict[str, Any]:
    try:
        weights = torchvision.models.get_model_weights(architecture)["DEFAULT"]
        return dict(weights.get_state_dict(progress=False, check_hash=True))
    except (
        URLError,
        OSError,
        RuntimeError,
    ) as error:  # the last one where what came is not what was asked for
        raise Unavailable(
            "The pre-trained weights of {architecture} cannot be downloaded from here; "
            "set “Starting weights” to none, or name a file of the store.",
            architecture=architecture,
        ) from error


def _stored(name: str, files: FileStore) -> dict[str, Any]:
    try:
        path = files.local_path(f"weights/{name}")
        return weights_of(path) if name.endswith(".ckpt") else dict(load_file(path))
    except FileNotFoundError as error:
        raise InvalidInput(
            "There is no file “weights/{name}” in the file store; put it there or choose other weights.",
            name=name,
        ) from error
    except (SafetensorError, UnpicklingError, KeyError, RuntimeError) as error:
        raise InvalidInput(
            "The file “weights/{name}” holds no weights that can be read.", name=name
        ) from error
