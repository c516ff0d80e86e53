"""One MLflow model server, that imports what models need before it is told which. Run: python -P jobs/model_server.py

It waits for one line on its input: a JSON object of `uri`, `host`, `port`, `folder` (for the model's files, its own)
and `log`. From then on it is what `mlflow models serve --env-manager local` ends as: uvicorn with MLflow's scoring
server, by MLflow's own command. Nothing of Veritrain may be imported here: a model's code stands on its own.
"""

import importlib
import json
import os
import shlex
import shutil
import sys

NEEDED = (
    "mlflow.pyfunc.scoring_server",
    "mlflow.tracking.artifact_utils",
    "uvicorn.main",
    "torch",
    "torchvision",
    "PIL.Image",
)
"""Most of the seconds from the start of a server until it answers."""


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
    serve(told["uri"], told["host"], told["port"], told["folder"])


def serve(uri: str, host: str, port: int, folder: str) -> None:
    import uvicorn.main
    from mlflow.pyfunc import scoring_server
    from mlflow.tracking.artifact_utils import _download_artifact_from_uri

    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    path = _download_artifact_from_uri(uri, folder)
    command, environment = scoring_server.get_cmd(path, port, nworkers=1)
    os.environ.update(environment)
    uvicorn.main.main([*shlex.split(command)[1:], "--host", host])


if __name__ == "__main__":
    main()
