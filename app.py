"""Builds the ASGI app: screens, REST and MLflow's proxy in one process behind one sign-in.

Run: python -m uvicorn app:app --host 127.0.0.1 --port 8501   (`make run` does it with all the rest)
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st
from anyio import to_thread
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

import api.app
import api.auth
import api.mlflow_proxy
import api.optuna_dashboard
import api.requests
import api.security
import pages.shell.logs
from core import collector, i18n, logs, metrics, workbench
from core.gateway import observed
from core.monitoring.observing import Observer
from core.settings import Settings
from pages.shell.errors import report

logs.setup(Settings.from_env().log_format)
pages.shell.logs.adopt()

THREADS = 64
"""Threads for routes that wait for the database; the default 40 would let one slow upload page hold many."""


@asynccontextmanager
async def lifespan(_app: Any) -> AsyncIterator[dict[str, Any]]:
    to_thread.current_default_thread_limiter().total_tokens = THREADS
    wb = workbench.Workbench.open(Settings.from_env())
    workbench.set_current(wb)
    collecting = collector.start(wb)
    observer = Observer(wb)
    observer.start()
    observed.listeners.append(metrics.hear)
    try:
        yield {}
    finally:
        observed.listeners.remove(metrics.hear)
        observer.stop()
        collecting.stop()
        await api.mlflow_proxy.close()
        workbench.set_current(None)
        wb.close()


async def health(_request: Request) -> JSONResponse:
    """Answers once the database is open; load balancers and the supervisor ask it."""

    def probe() -> None:
        with workbench.current().db.read() as connection:
            connection.exec_driver_sql("SELECT 1")

    await to_thread.run_sync(probe)
    return JSONResponse({"status": "ok", "languages": list(i18n.LANGUAGES)})


app = st.App(
    Path(__file__).parent / "pages" / "shell" / "main.py",
    lifespan=lifespan,
    routes=[
        Route("/health", health),
        Route(api.requests.PATH, api.requests.exposition),
        Mount("/api", app=api.app.create()),
        *api.auth.pages,
        *api.mlflow_proxy.routes,
        *api.optuna_dashboard.routes,
    ],
    middleware=[Middleware(api.requests.Requests), Middleware(api.security.Security)],
    on_script_error=report,
)
