"""An installation whose administrator Ada is signed in, and her browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page

from core import auth
from core.settings import Settings
from core.workbench import Workbench
from tests.app import App
from tests.conftest import PASSWORD, TEST_COMMIT


@contextmanager
def running(folder: Path, broker_url: str, fill: Callable[[Workbench, auth.User], None]) -> Iterator[App]:
    """The app over a folder that `fill` has put data into, as Ada."""
    wb = Workbench.open(
        Settings.from_env(
            {
                "VERITRAIN_DATA_DIR": str(folder / "data"),
                "VERITRAIN_ARTIFACTS_DIR": str(folder / "artifacts"),
                "REDIS_URL": broker_url,
                "MLFLOW_TRACKING_URI": "http://127.0.0.1:9/mlflow",
                "VERITRAIN_GIT_COMMIT": TEST_COMMIT,
            }
        )
    )
    fill(wb, auth.create_first_admin(wb, "Ada", PASSWORD, ""))
    wb.close()
    app = App(folder, broker_url)
    app.start()
    try:
        app.admin.post("/api/auth/sign-in/", json={"name": "Ada", "password": PASSWORD}).raise_for_status()
        yield app
    finally:
        app.stop()


@contextmanager
def window(app: App, browser: Browser, *, height: int = 900) -> Iterator[Page]:
    """Ada's browser, 1,280 pixels wide."""
    context = browser.new_context(
        base_url=app.url, viewport={"width": 1280, "height": height}, locale="en-GB"
    )
    context.add_cookies([{"name": k, "value": v, "url": app.url} for k, v in app.admin.cookies.items()])
    page = context.new_page()
    page.set_default_timeout(30_000)
    try:
        yield page
    finally:
        context.close()


QUIET_MS = 400
"""For so long nothing may be drawn; the server has answered the last change by then also on a busy machine."""
QUIET = """quiet => {
  const app = document.querySelector("[data-testid=stApp]");
  if (app && app.dataset.testScriptState !== "notRunning") window.quietSince = undefined;
  else window.quietSince ??= performance.now();
  return !app || performance.now() - window.quietSince > quiet;
}"""


def settled(page: Page, most_ms: float = 30_000) -> None:
    """Wait until Streamlit has drawn what the last change called for.

    What is drawn between a button's mouse down and up moves the button away, and the click is lost.
    """
    page.evaluate("window.quietSince = undefined")
    page.wait_for_function(QUIET, arg=QUIET_MS, timeout=most_ms)
