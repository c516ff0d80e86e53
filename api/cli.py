"""The command line: a client of the same REST interface. Run: python -m api.cli --help

It finds the server at VERITRAIN_URL (http://127.0.0.1:8501 by default) and signs in with
VERITRAIN_TOKEN or the token that `login` keeps in the person's own configuration folder.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from api import cli_params
from api.cli_client import URL, ThemeName, ask, client, console, errors, fail, find_theme, token_file

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Veritrain from the command line.")
app.add_typer(cli_params.app, name="params")
POLL_SECONDS = 1.0
SEND_FILES = 200
"""Files sent in one request."""
CANCELLED = 2


def main() -> None:
    """Run the command; a server that is away or refuses becomes one sentence."""
    try:
        app()
    except httpx.ConnectError:
        fail(
            f"No Veritrain answers at {URL}. Start it with `make run`, or set VERITRAIN_URL to where it runs."
        )
    except httpx.HTTPError as error:
        fail(f"The connection to {URL} broke: {error}")


@app.command()
def login(
    name: Annotated[str, typer.Option(prompt=True, help="Your name in Veritrain.")],
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, help="Your password.")],
) -> None:
    """Sign in and keep a token for the other commands."""
    with client() as http:
        http.headers.pop("Authorization", None)
        answer = http.post("/auth/sign-in", json={"name": name, "password": password})
        if answer.is_error:
            fail(str(answer.json()["detail"]))
        host = os.uname().nodename
        issued = ask(
            http,
            "POST",
            "/tokens",
            json={"name": f"command line on {host}"[:64]},
            headers={"Authorization": f"Bearer {answer.json()['token']}"},
        )
    path = token_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(issued["token"])
    console.print(f"Signed in as {name}.", markup=False, highlight=False)


@app.command()
def themes(search: Annotated[str, typer.Option(help="Only themes that contain this.")] = "") -> None:
    """List the themes."""
    with client() as http:
        items = ask(http, "GET", "/theme/", params={"search": search})["items"]
    table = Table("No.", "Name", "Images", "Labelled", "Last run")
    for theme in items:
        last = theme["last_run"]["status"] if theme["last_run"] else "–"
        table.add_row(str(theme["id"]), theme["name"], str(theme["images"]), str(theme["labelled"]), last)
    console.print(table)


@app.command("create-theme")
def create_theme(
    name: str,
    description: Annotated[str, typer.Option(help="What is shown on its images.")] = "",
    label: Annotated[list[str] | None, typer.Option(help="A label; give it several times.")] = None,
) -> None:
    """Create a theme."""
    with client() as http:
        body = {"name": name, "description": description, "labels": label or []}
        made = ask(http, "POST", "/theme/create/", json=body)
    console.print(f"Theme {made['id']}: {URL}/theme?theme={made['id']}", markup=False)


@app.command()
def upload(
    theme: ThemeName,
    paths: list[Path],
    folder_labels: Annotated[
        bool, typer.Option(help="The last folder names the label; missing ones are made.")
    ] = False,
    folder_splits: Annotated[bool, typer.Option(help="Folders train, valid and test are splits.")] = False,
) -> None:
    """Upload image files, folders, zips or tars."""
    files = list(_files(paths))
    if not files:
        fail("There is no file at the given paths.")
    options = {
        "label_from_folder": folder_labels,
        "create_labels": folder_labels,
        "split_from_folder": folder_splits,
    }
    added = duplicates = refused = 0
    with client() as http, _bar() as bar:
        number = find_theme(http, theme)["id"]
        task = bar.add_task("Uploading", total=len(files))
        for begin in range(0, len(files), SEND_FILES):
            part = files[begin : begin + SEND_FILES]
            with ExitStack() as opened:
                sent = [("files", (name, opened.enter_context(path.open("rb")))) for name, path in part]
                report = ask(http, "POST", f"/theme/{number}/images/upload/", files=sent, params=options)
            added += report["added"]
            duplicates += report["duplicates"]
            refused += report["refused_total"]
            for item in report["refused"]:
                errors.print(item["reason"], markup=False, highlight=False)
            bar.update(task, advance=len(part))
    console.print(f"{added} added, {duplicates} were there already, {refused} refused.")


@app.command()
def split(
    theme: ThemeName,
    train: float = 0.70,
    valid: float = 0.15,
    test: float = 0.15,
    seed: int = 42,
) -> None:
    """Deal the labelled images that have no split yet."""
    with client() as http:
        number = find_theme(http, theme)["id"]
        report = ask(
            http, "POST", f"/theme/{number}/split/", json={"ratios": [train, valid, test], "seed": seed}
        )
    console.print(", ".join(f"{name}: {n}" for name, n in report["dealt"].items()))


@app.command()
def train(
    theme: ThemeName,
    wait: Annotated[bool, typer.Option(help="Stay until the run has ended.")] = True,
) -> None:
    """Train a model; ends with 0 when the run succeeded, 1 when it failed, 2 when it was cancelled."""
    with client() as http:
        number = find_theme(http, theme)["id"]
        run = ask(http, "POST", f"/theme/{number}/training/start/")
        console.print(f"Run {run['id']}: {URL}/run?run={run['id']}", markup=False)
        if wait:
            _follow(http, number, run["id"])


@app.command()
def runs(theme: ThemeName) -> None:
    """List a theme's runs."""
    with client() as http:
        number = find_theme(http, theme)["id"]
        found = ask(http, "GET", f"/theme/{number}/training/history/")
    table = Table("Run", "Status", "Started", "By")
    for run in found:
        table.add_row(str(run["id"]), run["status"], run["created_at"][:16], run["created_by"])
    console.print(table)


@app.command()
def result(theme: ThemeName, run: int) -> None:
    """Show what a run found."""
    with client() as http:
        number = find_theme(http, theme)["id"]
        found = ask(http, "GET", f"/theme/{number}/training/result/{run}/")
    if not found["result"]:
        fail(f"Run {run} has no result; it is {found['status']}.")
    for name, values in found["result"]["metrics"].items():
        console.print(
            f"{name}: {values['accuracy']:.2%} right of {values['n']}, macro F1 {values['macro_f1']:.3f}"
        )
    console.print(f"Model version: {found['version_id']}")


@app.command()
def deploy(version: Annotated[int, typer.Argument(help="As `result` shows it.")]) -> None:
    """Serve a model version and wait until it answers."""
    with client() as http:
        made = ask(http, "POST", f"/models/{version}/deploy/")
        while True:
            found = {d["id"]: d for d in ask(http, "GET", "/deployments/")}.get(made["id"])
            if found is None:
                fail("The deployment was stopped.")
            if found["status"] == "up":
                console.print(f"Deployment {made['id']} is up.")
                return
            if found["status"] == "failed":
                fail(f"The model server does not start: {found['detail']}")
            time.sleep(POLL_SECONDS)


@app.command()
def predict(
    deployment: int,
    paths: list[Path],
    out: Annotated[Path | None, typer.Option(help="Write a CSV file instead of a table.")] = None,
) -> None:
    """Labels for images from a deployed model."""
    files = list(_files(paths))
    answers: list[dict[str, Any]] = []
    with client() as http:
        for begin in range(0, len(files), SEND_FILES):
            with ExitStack() as opened:
                part = files[begin : begin + SEND_FILES]
                sent = [("files", (name, opened.enter_context(path.open("rb")))) for name, path in part]
                answers += ask(http, "POST", f"/deployments/{deployment}/predict/", files=sent)
    if out:
        with out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["name", "label", "confidence", "error"], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(answers)
        return
    table = Table("File", "Label", "Confidence")
    for answer in answers:
        sure = "" if answer["confidence"] is None else f"{answer['confidence']:.1%}"
        table.add_row(answer["name"], answer["label"] or answer["error"], sure)
    console.print(table)


@app.command()
def demo() -> None:
    """Load the handwritten digits as a theme; asks for name and password where nobody is signed in."""
    with client() as http:
        known = http.get("/auth/me").status_code == 200
    if not known and sys.stdin.isatty():
        login(typer.prompt("Name"), typer.prompt("Password", hide_input=True))
    with client() as http:
        made = ask(http, "POST", "/demo/")
    console.print(f"“{made['name']}” is loaded: {URL}/theme?theme={made['id']}", markup=False)


def _follow(http: httpx.Client, theme: int, run: int) -> None:
    with _bar() as bar:
        task = bar.add_task("waiting", total=1.0)
        while True:
            state = ask(http, "GET", f"/theme/{theme}/training/progress/{run}/")
            now = state["progress"] or {}
            bar.update(
                task, completed=now.get("fraction", 0.0), description=now.get("phase", state["status"])
            )
            if state["status"] in ("succeeded", "failed", "cancelled"):
                break
            time.sleep(POLL_SECONDS)
    if state["status"] == "cancelled":
        fail(f"Run {run} was cancelled.", CANCELLED)
    if state["status"] == "failed":
        error = state["error"] or {}
        fail(f"Run {run} failed. {error.get('message', '')} {error.get('next_step', '')}")
    found = ask(http, "GET", f"/theme/{theme}/training/result/{run}/")
    test = found["result"]["metrics"]["test"]
    console.print(
        f"Done: {test['accuracy']:.2%} right on {test['n']} test images. Model version {found['version_id']}."
    )


def _files(paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """(name to send, path) of every file below the paths, folders kept in the name."""
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                if file.is_file() and not file.name.startswith("."):
                    yield f"{path.name}/{file.relative_to(path).as_posix()}", file
        elif path.exists():
            yield path.name, path
        else:
            fail(f"There is no file {path}.")


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
    )


if __name__ == "__main__":
    main()
