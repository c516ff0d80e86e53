"""Pure. The environment, read once into one frozen Settings object."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from core.errors import InvalidInput

ROOT = Path(__file__).resolve().parent.parent

MIB = 1024 * 1024


@dataclass(frozen=True)
class Settings:
    """Everything an operator can set. Each field is one environment variable (see `from_env`)."""

    data_dir: Path
    """People's data: metadata file, images, thumbnails, snapshots, saved parameters."""
    artifacts_dir: Path
    """What jobs make: run folders, checkpoints, event files, MLflow's store."""
    database_url: str
    """SQLAlchemy URL of the metadata database; DuckDB when nothing is set."""
    redis_url: str
    mlflow_url: str
    """Base URL of the MLflow server, its static prefix included."""
    optuna_url: str
    """SQLAlchemy URL of Optuna's own storage; a SQLite file when nothing is set."""
    files_url: str
    """fsspec URL of the content-addressed store: a folder or s3://bucket/prefix."""
    host: str
    port: int
    public_url: str
    """The origin people type; used for links and the origin check of writes."""
    allowed_hosts: tuple[str, ...]
    setup_token: str
    """One-time word that first-run must present where the app listens beyond loopback; "" = not needed."""
    git_commit: str
    """Commit from the build where there is no .git folder; "" = ask git."""
    max_file_bytes: int
    max_upload_bytes: int
    max_files_per_upload: int
    max_pixels: int
    max_text_bytes: int
    """Of one uploaded file of texts."""
    tokenizer: Path | None
    """A tokenizer.json that counts the tokens of texts; None estimates them."""
    embedding_model: str
    """Folder of a transformers model for parallel texts, of this machine or in the file store; "" = none."""
    session_days: int
    workers: int
    runs_per_person: int
    """That may wait or run at once; 0 sets no limit."""
    processes: int
    """That share one training: as many GPUs, or processes on the processor."""
    import_roots: tuple[Path, ...]
    """Folders of the server that imports may read; none unless set."""
    log_format: str
    """text or json."""
    metrics_token: str
    """Bearer token that Prometheus sends for /metrics; "" = it is open to this machine alone."""
    local_webhooks: bool
    """Whether webhooks may go to loopback and link-local addresses."""
    smtp_url: str
    """Server for e-mails, smtp://user:password@host:port or smtps://…; "" = none."""
    mail_from: str
    """Sender of e-mails."""
    predict_bytes: int
    """Of one request for predictions."""
    predict_images: int
    """Of one request for predictions."""
    predict_batch_images: int
    """Of one batch that is predicted in the background."""
    predict_per_minute: int
    """Requests for predictions that one key may send; 0 sets no limit."""
    predict_hosts: tuple[str, ...]
    """From which images may be fetched for a prediction, with the port where it is not the usual one."""
    predict_seconds: int
    """A model server may take for one batch."""
    predict_sample: float
    """Share of the requests for predictions that is logged, 0 to 1."""
    batch_images: int
    """Most images that are sent to a model server together."""
    batch_wait: float
    """Seconds that a batch waits for others while many ask at once."""

    @property
    def listens_beyond_loopback(self) -> bool:
        return self.host not in ("127.0.0.1", "localhost", "::1")

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read VERITRAIN_* (and REDIS_URL, MLFLOW_TRACKING_URI) with their defaults.

        Raises InvalidInput naming the variable when a number does not parse.
        """
        env = os.environ if env is None else env

        def number(name: str, default: int, low: int = 1) -> int:
            raw = env.get(name, "")
            if not raw:
                return default
            try:
                value = int(raw)
            except ValueError:
                value = low - 1
            if value < low:
                raise InvalidInput(
                    "{name} is “{value}”; set it to a whole number of at least {low}.",
                    name=name,
                    value=raw,
                    low=low,
                )
            return value

        data = Path(env.get("VERITRAIN_DATA_DIR", ROOT / "data")).resolve()
        artifacts = Path(env.get("VERITRAIN_ARTIFACTS_DIR", ROOT / "artifacts")).resolve()
        host = env.get("VERITRAIN_HOST", "127.0.0.1")
        port = number("VERITRAIN_PORT", 8501)
        public = env.get("VERITRAIN_PUBLIC_URL", f"http://127.0.0.1:{port}").rstrip("/")
        return cls(
            data_dir=data,
            artifacts_dir=artifacts,
            database_url=env.get("VERITRAIN_DATABASE_URL", f"duckdb:///{data / 'veritrain.duckdb'}"),
            redis_url=env.get("REDIS_URL", "redis://127.0.0.1:6380/0"),
            mlflow_url=env.get("MLFLOW_TRACKING_URI", "http://127.0.0.1:5001/mlflow").rstrip("/"),
            optuna_url=env.get("VERITRAIN_OPTUNA_URL", f"sqlite:///{artifacts / 'optuna.db'}"),
            files_url=env.get("VERITRAIN_FILES_URL", str(data / "files")),
            host=host,
            port=port,
            public_url=public,
            allowed_hosts=tuple(filter(None, env.get("VERITRAIN_ALLOWED_HOSTS", "").split(","))),
            setup_token=env.get("VERITRAIN_SETUP_TOKEN", ""),
            git_commit=env.get("VERITRAIN_GIT_COMMIT", ""),
            max_file_bytes=number("VERITRAIN_MAX_FILE_MB", 50) * MIB,
            max_upload_bytes=number("VERITRAIN_MAX_UPLOAD_MB", 4096) * MIB,
            max_files_per_upload=number("VERITRAIN_MAX_FILES_PER_UPLOAD", 200_000),
            max_pixels=number("VERITRAIN_MAX_MEGAPIXELS", 50) * 1_000_000,
            max_text_bytes=number("VERITRAIN_MAX_TEXT_MB", 100) * MIB,
            tokenizer=_file(env, "VERITRAIN_TOKENIZER"),
            embedding_model=env.get("VERITRAIN_EMBEDDING_MODEL", ""),
            session_days=number("VERITRAIN_SESSION_DAYS", 14),
            workers=number("VERITRAIN_WORKERS", 1),
            runs_per_person=number("VERITRAIN_RUNS_PER_PERSON", 0, low=0),
            processes=number("VERITRAIN_PROCESSES", 1),
            import_roots=tuple(
                Path(root).resolve() for root in env.get("VERITRAIN_IMPORT_ROOTS", "").split(":") if root
            ),
            log_format=_one_of(env, "VERITRAIN_LOG_FORMAT", ("text", "json")),
            metrics_token=env.get("VERITRAIN_METRICS_TOKEN", ""),
            local_webhooks=env.get("VERITRAIN_LOCAL_WEBHOOKS", "") == "1",
            smtp_url=_smtp(env),
            mail_from=env.get("VERITRAIN_MAIL_FROM", "veritrain@localhost"),
            predict_bytes=number("VERITRAIN_PREDICT_MAX_MB", 64) * MIB,
            predict_images=number("VERITRAIN_PREDICT_MAX_IMAGES", 1_000),
            predict_batch_images=number("VERITRAIN_PREDICT_BATCH_IMAGES", 100_000),
            predict_per_minute=number("VERITRAIN_PREDICT_PER_MINUTE", 6_000, low=0),
            predict_hosts=tuple(filter(None, env.get("VERITRAIN_PREDICT_HOSTS", "").lower().split(","))),
            predict_seconds=number("VERITRAIN_PREDICT_SECONDS", 60),
            predict_sample=min(number("VERITRAIN_PREDICT_SAMPLE_PERCENT", 1, low=0), 100) / 100,
            batch_images=number("VERITRAIN_BATCH_IMAGES", 32),
            batch_wait=number("VERITRAIN_BATCH_WAIT_MS", 5, low=0) / 1000,
        )


def _file(env: Mapping[str, str], name: str) -> Path | None:
    raw = env.get(name, "")
    if not raw:
        return None
    path = Path(raw).resolve()
    if not path.is_file():
        raise InvalidInput(
            "{name} is “{value}”, and there is no such file; correct it.", name=name, value=raw
        )
    return path


def _one_of(env: Mapping[str, str], name: str, words: tuple[str, ...]) -> str:
    """One of `words`, the first unless set."""
    value = env.get(name, "") or words[0]
    if value not in words:
        raise InvalidInput(
            "{name} is “{value}”; set it to one of: {all}.", name=name, value=value, all=", ".join(words)
        )
    return value


def _smtp(env: Mapping[str, str]) -> str:
    value = env.get("VERITRAIN_SMTP_URL", "")
    try:
        parts = urlsplit(value)
        right = parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        right = False
    if value and not right:
        raise InvalidInput(
            "{name} is not the address of a mail server; set it like smtp://mail.example.org:587.",
            name="VERITRAIN_SMTP_URL",
        )
    return value
