"""Finds the Chromium that the end-to-end tests drive, or gets one. Run: python -m tests.browser

Tried in this order: VERITRAIN_CHROMIUM, a Chromium or Chrome on the PATH, the build
that Playwright keeps or downloads, Debian's package (as root). Fails with what to do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find() -> str | None:
    """Path of a browser that is already here, or None."""
    named = os.environ.get("VERITRAIN_CHROMIUM")
    if named:
        return named
    for name in NAMES:
        if path := shutil.which(name):
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def get() -> str:
    """Path of a browser, fetched when none is here. Exits with one sentence when it cannot be had."""
    attempts = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if shutil.which("apt-get") and os.geteuid() == 0:
        attempts.append(["sh", "-c", "apt-get update -qq && apt-get install -y -qq chromium"])
    path = find()
    for command in attempts:
        if path:
            break
        print("Getting a browser for the end-to-end tests:", " ".join(command), flush=True)
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        path = find()
    if not path:
        sys.exit(
            "The end-to-end tests need a Chromium and none could be fetched. Install one (Debian: "
            "apt-get install chromium) or set VERITRAIN_CHROMIUM to its path, then run make test again."
        )
    return path


if __name__ == "__main__":
    print("Browser:", get())
