"""Pure. Child processes that are owned: they die with us, are restarted with back-off, and leave nobody behind."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import psutil

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 30.0
"""Back-off before a restart: doubles from the first to the longest."""
STEADY_SECONDS = 60.0
"""A process that ran this long starts again with the shortest wait."""
MARK = "VERITRAIN_STARTED_BY"
"""Environment variable that tells whose child a process is, down to its grandchildren."""
NUMBER = "VERITRAIN_WORKER"
"""Environment variable that tells training workers of one machine apart, from 0."""
SPINS = "2000"
"""Rounds that threads of a computation wait for each other before they sleep."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""
STOP_SECONDS = 8.0
"""Time between asking a process to end and killing it."""
TAIL_BYTES = 256 * 1024
"""Most that is read of a log to show its end."""


def wait_briefly() -> None:
    """For this process and its children, before torch is imported: its threads wait for each other some microseconds.

    By default they wait in a loop that keeps a core for milliseconds: two trainings, or one beside a model server, then
    hold each other up. Threads that sleep at once are woken too late for the next short piece of work.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def keep_memory() -> None:
    """This process keeps what it frees for what it takes next, rather than giving each large block back to Linux.

    A training takes and frees the same blocks in every step, and new ones are cleared page by page: a seventh of a step
    of resnet18 at 128 px on two cores. Without glibc nothing happens.
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, 1 << 30)
        mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


def die_with_parent(parent: int | None = None) -> None:
    """Ask Linux to kill this process when its parent dies; elsewhere nothing happens.

    `parent` is the process that started this one: where it is gone already, nobody would tell us.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if parent is not None and os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


@dataclass
class Child:
    """One process kept running. `start` once, then `watch` regularly, `stop` at the end."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log_file: Path
    told: str | None = None
    """Written to its input whenever it starts; "" leaves that to `tell` or `take`; with None it has no input."""
    restarts: int = 0
    process: subprocess.Popen[bytes] | None = None
    _began: float = 0.0
    _wait: float = FIRST_WAIT_SECONDS
    _again_at: float | None = None

    def start(self) -> None:
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as output:
            self.process = subprocess.Popen(
                list(self.command),
                env=dict(self.environment),
                cwd=self.folder,
                stdin=subprocess.DEVNULL if self.told is None else subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A session of its own: a terminal's Ctrl-C reaches the supervisor alone, and whatever
                # the process starts can be found by it, even after the process is gone.
                start_new_session=True,
                preexec_fn=partial(die_with_parent, os.getpid()) if sys.platform == "linux" else None,
            )
        self._began = time.monotonic()
        self._again_at = None
        if self.told:
            self.tell(self.told)

    def tell(self, text: str) -> None:
        """Write to the input of one that has any; one that has ended hears nothing."""
        assert self.process is not None and self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(text.encode())
            self.process.stdin.flush()

    def take(self, other: Child) -> None:
        """Go on with the process of another one, which has none then, and tell it what this one is told."""
        self._kill_rest()
        self.process, other.process = other.process, None
        self._began, self._again_at = time.monotonic(), None
        self.tell(self.told or "")

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def watch(self) -> bool:
        """Restart the process if it ended and its wait is over. True when it was started again now."""
        if self.process is None:
            return False
        if self.running:
            return False
        now = time.monotonic()
        if self._again_at is None:
            self._wait = (
                FIRST_WAIT_SECONDS
                if now - self._began > STEADY_SECONDS
                else min(self._wait * 2, LONGEST_WAIT_SECONDS)
            )
            self._again_at = now + self._wait
            log.warning(
                "%s ended with %s; starting it again in %.1f s", self.name, self.process.poll(), self._wait
            )
            self._kill_rest()
        if now < self._again_at:
            return False
        self.restarts += 1
        self.start()
        return True

    def ask_to_stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.running:
            assert self.process is not None
            self.process.send_signal(how)

    def ask_all_to_stop(self) -> None:
        """As `ask_to_stop`, and whatever it has started."""
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def left(self) -> list[int]:
        """What still runs of it and what it has started; it may have ended itself."""
        if self.process is None:
            return []
        self.process.poll()  # an ended one is a process no more
        return session(self.process.pid)

    def end(self) -> None:
        """Kill it with all it started; `watch` starts it again."""
        if self.process is not None and self.running:
            self.process.kill()
            self.process.wait()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ask it to end, wait, and kill whatever is left of it and its children."""
        self.ask_to_stop()
        if self.process is not None:
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._kill_rest()
        self.process = None

    def tail(self, lines: int = 5) -> str:
        """The end of its log, to say why it does not run."""
        try:
            return "\n".join(tail(self.log_file, lines))
        except OSError:
            return ""

    def _kill_rest(self) -> None:
        if self.process is not None:
            kill_session(self.process.pid)


def tail(file: Path, lines: int) -> list[str]:
    """The last lines of a file, of which no more than the last TAIL_BYTES are read. Raises OSError."""
    with file.open("rb") as opened:
        begin = max(0, opened.seek(0, os.SEEK_END) - TAIL_BYTES)
        opened.seek(begin)
        found = opened.read().decode(errors="replace").splitlines()
    return found[1 if begin else 0 :][-lines:]  # where it was cut the first one is none


def kill_session(leader: int) -> None:
    """Kill every process of the session that `leader` began: its children and theirs, orphans included."""
    for pid in session(leader):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def session(leader: int) -> list[int]:
    """The processes of the session that `leader` began, orphans included, those that have ended left out."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(pid) == leader and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
    return found


def kill_marked(mark: str) -> int:
    """Kill the processes that carry this mark in their environment under MARK; returns how many.

    A name or a number could be another program's; the mark is random and ours alone.
    """
    count = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                process.kill()
                count += 1
    return count


def wait_until(ready: Callable[[], bool], seconds: float, ended: Callable[[], bool] = lambda: False) -> bool:
    """Poll `ready` until it holds, `ended` holds, or the time is over; returns whether it became ready."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if ready():
            return True
        if ended():
            return False
        time.sleep(0.1)
    return False


def on_signals(stop: threading.Event) -> None:
    """Let SIGINT, SIGTERM and SIGHUP set `stop`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())


class Lock:
    """A lock on a folder for the life of this process; the kernel frees it even after kill -9."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left_behind = ""
        """The mark of the last holder, when it was killed and could not release the lock."""
        self._file: IO[str] | None = None

    def take(self, mark: str) -> bool:
        """False when another process holds it. `mark` is kept until the release."""
        import fcntl

        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        file.seek(0)
        self.left_behind = file.read()
        file.truncate(0)
        file.write(mark)
        file.flush()
        self._file = file
        return True

    def release(self) -> None:
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None
