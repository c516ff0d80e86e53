"""One MLflow model server, that imports what models need before it is told which. Run: python -P jobs/model_server.py

It waits for one line on its input: a JSON object of `uri`, `host`, `port`, `folder` (for the model's files, its own),
`log` and, where they are known, `files` (SHA-256 by name): it serves no others. From then on it is what
`mlflow models serve --env-manager local` ends as: uvicorn with MLflow's scoring server. Beside that server's paths it
has one for the gateway that takes images as they are: without base64, a table and a check of its columns an answer
comes some milliseconds sooner. A model whose signature says that it takes something else has none.
Nothing of Veritrain may be imported here: a model's code stands on its own.
"""

import asyncio
import base64
import hashlib
import importlib
import io
import json
import os
import shutil
import sys
import traceback
from pathlib import Path
from typing import Any

NEEDED = (
    "mlflow.pyfunc.scoring_server",
    "mlflow.tracking.artifact_utils",
    "uvicorn.main",
    "torch",
    "torchvision",
    "PIL.Image",
)
"""Most of the seconds from the start of a server until it answers."""
IMAGES_PATH = "/images"
"""As core.serving_protocol has it."""
ADDED_BY_MLFLOW = "registered_model_meta"
"""As core.serving_protocol has it."""
KEEP_SECONDS = 75
"""How long a connection is kept for its next request; the gateway has few, and opening one takes time."""


def main() -> None:
    print("starts", flush=True)
    for name in NEEDED:
        importlib.import_module(name)
    print("waits for a model", flush=True)
    line = sys.stdin.readline()
    if not line:  # whoever would have told it is gone
        return
    told = json.loads(line)
    log = os.open(told["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    serve(told["uri"], told["host"], told["port"], told["folder"], told.get("files"))


def serve(uri: str, host: str, port: int, folder: str, files: dict[str, str] | None) -> None:
    import uvicorn
    from mlflow.pyfunc import scoring_server
    from mlflow.tracking.artifact_utils import _download_artifact_from_uri

    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    path = _download_artifact_from_uri(uri, folder)
    if files is not None and (wrong := exchanged(Path(path), files)):
        sys.exit(
            f"{uri} is not served: files of it are missing, were exchanged or were added after its training: "
            f"{', '.join(wrong)}. Repeat its run."
        )
    model = scoring_server.load_model_with_mlflow_config(path)
    app = BesideMlflow(scoring_server.init(model), model)
    # A line for each look whether it lives, each second, would hide all that people look for in the log.
    uvicorn.run(app, host=host, port=port, timeout_keep_alive=KEEP_SECONDS, access_log=False)


def exchanged(folder: Path, files: dict[str, str]) -> list[str]:
    """Names that are not as `files` has them, before any of them is loaded: a model is code, too.

    What lies around our own files is looked at only where it was hashed; MLflow adds one file to each copy.
    """
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    added = {
        name
        for name in there.keys() - files.keys() - {ADDED_BY_MLFLOW}
        if "MLmodel" in files or name.startswith("artifacts/")
    }
    return sorted(added | {name for name, sha256 in files.items() if _sha256(there.get(name)) != sha256})


def _sha256(path: Path | None) -> str | None:
    if path is None:
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class BesideMlflow:
    """ASGI: MLflow's scoring server, and IMAGES_PATH."""

    def __init__(self, mlflows: Any, model: Any) -> None:
        from mlflow.exceptions import MlflowException

        self._mlflows = mlflows
        self._model = model
        signature = model.metadata.get_input_schema()
        self._for_images = signature is None or signature.input_names() == ["image"]
        try:
            self._rows = getattr(model.unwrap_python_model(), "rows", None)
        except MlflowException:  # it is of another kind
            self._rows = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != IMAGES_PATH or not self._for_images:
            asked = scope["type"] == "http" and scope["path"] == "/invocations"
            await self._mlflows(scope, receive, noting(send) if asked else send)
            return
        from starlette.requests import Request
        from starlette.responses import Response

        images = unframed(await Request(scope, receive).body())
        try:
            said, status = await asyncio.to_thread(self.answer, images), 200
        except Exception:  # a model's own code may raise anything; the next request has another chance
            traceback.print_exc()
            said, status = json.dumps({"error": "the model failed; its log says how"}), 500
        await Response(said, status, media_type="application/json")(scope, receive, send)

    def answer(self, images: list[bytes]) -> str:
        """What the model says of each, as MLflow writes it."""
        if self._rows:
            return json.dumps({"predictions": self._rows(images)})
        import pandas as pd
        from mlflow.pyfunc.scoring_server import predictions_to_json

        text = io.StringIO()
        table = pd.DataFrame({"image": [base64.b64encode(image).decode() for image in images]})
        predictions_to_json(self._model.predict(table), text)
        return text.getvalue()


def noting(send: Any) -> Any:
    """An ASGI `send` that writes into the log why MLflow's server refuses, which it tells its caller alone."""
    refused: list[bytes] = []

    async def noted(message: Any) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            refused.append(b"")
        elif refused:
            refused.append(message.get("body", b""))
            if not message.get("more_body"):
                print(reason(b"".join(refused)), flush=True)
        await send(message)

    return noted


def reason(body: bytes) -> str:
    """Of a refusal by MLflow's server; what was asked, which it may repeat before that, is left out."""
    try:
        said = json.loads(body)
        return str(said.get("stack_trace") or said["message"].rpartition("\nError: ")[2])
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{len(body)} bytes that say why it was refused cannot be read"


def unframed(body: bytes) -> list[bytes]:
    """Images, the length of each before it in four bytes, the highest first."""
    images, at = [], 0
    while at < len(body):
        end = at + 4 + int.from_bytes(body[at : at + 4], "big")
        images.append(body[at + 4 : end])
        at = end
    return images


if __name__ == "__main__":
    main()
