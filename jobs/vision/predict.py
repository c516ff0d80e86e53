"""Labels for images by this model, without Veritrain:

    from predict import Model
    model = Model(".")
    print(model("cat.jpg"))

Goes with a version's files into its download. Needs pillow and numpy, and either torch and safetensors (most networks
also need torchvision) or onnxruntime with model.onnx. README.md says more.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


class Model:
    """The model whose files lie in `folder`."""

    def __init__(self, folder: str | Path = ".", *, onnx: bool | None = None) -> None:
        """`onnx` says whether ONNX Runtime computes; None: where torch is not installed."""
        self.folder = Path(folder)
        self.config: dict[str, Any] = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        self.labels: list[str] = self.config["labels"]
        self._imaging = self._code("imaging")
        self.unreadable: type[Exception] = self._imaging.Unreadable
        self._steps = self._imaging.steps_beside(self.config, self.folder)
        if onnx is None:
            onnx = importlib.util.find_spec("torch") is None
        self._probabilities = self._by_onnx() if onnx else self._by_torch()

    def __call__(self, image: str | Path | bytes) -> dict[str, Any]:
        """`label`, `confidence` and `probabilities` by label, for the path or the bytes of an image file.

        Raises OSError for a file that is not there, and `unreadable` for one that is no image.
        """
        data = image if isinstance(image, bytes) else Path(image).read_bytes()
        size, done = self.config["image_size"], self.config["preprocessing"]
        opened = self._imaging.open_image(data, max_pixels=self.config["max_pixels"], size=size)
        pixels = self._imaging.prepare(opened, size, done, self._steps)
        found = self._probabilities(pixels[None])[0].tolist()
        best = int(np.argmax(found))
        return {
            "label": self.labels[best],
            "confidence": found[best],
            "probabilities": dict(zip(self.labels, found, strict=True)),
        }

    def _code(self, name: str) -> Any:
        """One of the version's own files, under a name by which nothing else finds it."""
        spec = importlib.util.spec_from_file_location(f"_model_{name}", self.folder / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def _by_torch(self) -> Any:
        import torch

        network = self._imaging.network_beside(self.config, self.folder)
        done = self.config["preprocessing"]

        def probabilities(pixels: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                images = torch.tensor(pixels).permute(0, 3, 1, 2).float() / 255.0
                logits = self._imaging.answers(network, self._imaging.normalize(images, done), done)
                found: np.ndarray = logits.double().softmax(dim=1).numpy()
            return found

        return probabilities

    def _by_onnx(self) -> Any:
        import onnxruntime

        session = onnxruntime.InferenceSession(
            str(self.folder / "model.onnx"), providers=["CPUExecutionProvider"]
        )
        return lambda pixels: session.run(None, {"pixels": pixels})[0]


def main(names: list[str]) -> int:
    """Print what the model beside this file says of each; 2 where one of them could not be read."""
    model = Model(Path(__file__).parent)
    status = 0
    for name in names:
        try:
            print(json.dumps({"file": name, **model(name)}, ensure_ascii=False))
        except OSError as error:
            print(f"“{name}” cannot be read ({error.strerror}); check its name.", file=sys.stderr)
            status = 2
        except model.unreadable as error:
            print(f"“{name}”: {error}", file=sys.stderr)
            status = 2
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
