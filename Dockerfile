# syntax=docker/dockerfile:1
# One image for app, worker and MLflow; docker-compose.yml gives each its command.
# torch's wheels bring their own CUDA libraries, so the slim base serves GPU workers too.
FROM python:3.12-slim-bookworm AS build
COPY --from=ghcr.io/astral-sh/uv:0.13.8 /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
WORKDIR /srv/veritrain
COPY requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv venv /opt/venv && VIRTUAL_ENV=/opt/venv uv pip install --require-hashes -r requirements.txt
COPY pages/locale pages/locale
RUN /opt/venv/bin/pybabel -q compile -d pages/locale -D veritrain

FROM python:3.12-slim-bookworm
# The image holds no .git folder that could be asked for the commit; without it no model is registered.
ARG GIT_COMMIT=""
ENV VERITRAIN_GIT_COMMIT=$GIT_COMMIT \
    VERITRAIN_HOST=0.0.0.0 \
    VERITRAIN_DATA_DIR=/data \
    VERITRAIN_ARTIFACTS_DIR=/artifacts \
    PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1
# Every save of parameters is a commit.
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home veritrain \
    && mkdir -p /data /artifacts \
    && chown veritrain:veritrain /data /artifacts
COPY --from=build /opt/venv /opt/venv
WORKDIR /srv/veritrain
COPY . .
COPY --from=build /srv/veritrain/pages/locale pages/locale
USER 10001
EXPOSE 8501
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/health', timeout=4)"]
# Connections that programs keep for their next request live longer than uvicorn's 5 seconds.
CMD ["python", "-m", "uvicorn", "app:app", "--host", "0.0.0.0", "--port", "8501", "--timeout-keep-alive", "75"]
