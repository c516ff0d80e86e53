"""Image classification: data, networks, training, figures and the model that is served."""

import os

# Before any module here imports MLflow: it would send usage figures to its makers, and draw bars in our log.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_DISABLE_AGENT_HINT", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
