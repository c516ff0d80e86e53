"""Two deployed versions that answer as a test wants, and duels between them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from core import auth, serving
from core.ab import duels, judging
from core.ab.duels import Duel
from core.serving_protocol import SEEN_KEY
from core.workbench import Workbench
from jobs.model_server import unframed

Answer = Callable[[bytes], tuple[str, float] | None]
"""Label and confidence for an image's bytes; None is an error."""
GIVEN = [
    {"query": f"What is {n} + {n}?", "answer_a": str(2 * n), "answer_b": f"{2 * n}, of course."}
    for n in range(1, 31)
]


class Model(ThreadingHTTPServer):
    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Model

    def do_POST(self) -> None:
        rows = []
        for image in unframed(self.rfile.read(int(self.headers["Content-Length"]))):
            said = self.server.answer(image)
            label, sure = said or (None, None)
            error = None if said else "not an image"
            rows.append({"label": label, "confidence": sure, "probabilities": [0.5, 0.5], "error": error})
        answer = json.dumps({"predictions": rows}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def deployed(
    wb: Workbench, actor: auth.User, versions: list[int], *answers: Answer
) -> Iterator[list[serving.Deployment]]:
    """Each version up behind a server that answers like the function at its place."""
    models = [Model(answer) for answer in answers]
    threads = [threading.Thread(target=model.serve_forever) for model in models]
    for thread in threads:
        thread.start()
    try:
        for version_id, model in zip(versions, models, strict=True):
            made = serving.deploy(wb, actor, version_id)
            state = {"status": "up", "url": model.url, "detail": None}
            wb.broker.hset(SEEN_KEY, str(made.id), json.dumps(state))
        serving.sync(wb)
        yield serving.deployments(wb)
    finally:
        for model, thread in zip(models, threads, strict=True):
            model.shutdown()
            thread.join()
            model.server_close()


def of_texts(wb: Workbench, actor: auth.User, theme_id: int, versions: list[int]) -> Duel:
    """A duel of thirty questions given by a program."""
    made = duels.create(wb, actor, theme_id=theme_id, versions=(versions[0], versions[1]))
    duels.add(wb, actor, made.id, GIVEN)
    return duels.get(wb, made.id)


def judge_all(wb: Workbench, judge: auth.User, duel_id: int, prefer: Callable[[str, str], str]) -> int:
    """Judge everything that is left; `prefer` gets the left and the right answer and says left, right or tie."""
    number = 0
    while found := judging.upcoming(wb, judge, duel_id):
        for item in found:
            judging.judge(
                wb, judge, duel_id, item.number, prefer(item.left, item.right), seconds=1 + number % 5
            )
            number += 1
    return number


def polite(left: str, right: str) -> str:
    """Prefers B's “…, of course.”, wherever it stands."""
    return "left" if "course" in left else "right"
