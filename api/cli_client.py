"""What every command of the command line needs: where the server is, who asks, and one way to end with a sentence."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import httpx
import typer
from rich.console import Console

console = Console()
errors = Console(stderr=True)

URL = os.environ.get("VERITRAIN_URL", "http://127.0.0.1:8501").rstrip("/")
FAILED = 1

ThemeName = Annotated[str, typer.Option("--theme", "-t", help="Name or number of the theme.")]


def fail(text: str, code: int = FAILED) -> NoReturn:
    errors.print(text, style="red", markup=False, highlight=False)
    sys.exit(code)


def token_file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "veritrain" / "token"


def client() -> httpx.Client:
    token = os.environ.get("VERITRAIN_TOKEN", "")
    if not token and token_file().exists():
        token = token_file().read_text(encoding="utf-8").strip()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=f"{URL}/api", headers=headers, timeout=600, trust_env=False)


def ask(http: httpx.Client, method: str, path: str, **options: Any) -> Any:
    """The answer's JSON. Ends with the server's own sentence when it refuses."""
    answer = http.request(method, path, **options)
    if answer.status_code == 401:
        fail("You are not signed in. Run `python -m api.cli login`, or set VERITRAIN_TOKEN.")
    if answer.is_error:
        try:
            detail = answer.json()["detail"]
        except (ValueError, KeyError):
            detail = f"The server answered {answer.status_code}."
        fail(str(detail))
    return answer.json() if answer.content else None


def find_theme(http: httpx.Client, name: str) -> dict[str, Any]:
    """The theme of that name (in any case) or number."""
    items = ask(http, "GET", "/theme/")["items"]
    for theme in items:
        if theme["name"].lower() == name.lower() or str(theme["id"]) == name:
            return dict(theme)
    known = ", ".join(f"“{theme['name']}”" for theme in items) or "none"
    fail(f"There is no theme “{name}”. There are: {known}.")
