from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from core.processes import MARK, Child, Lock, free_port, kill_marked, port_is_free, wait_until
from core.settings import ROOT

GRANDPARENT = (
    "import subprocess, sys, time\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print('up', flush=True)\n"
    "time.sleep(60)"
)


STEPS = (
    "import resource, sys, numpy\n"
    "from core.processes import keep_memory\n"
    "if sys.argv[1:]: keep_memory()\n"
    "def step(): numpy.ones(1 << 26, dtype=numpy.uint8)\n"
    "step()\n"
    "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
    "for _ in range(4): step()\n"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
)


def child(tmp_path: Path, code: str, **environment: str) -> Child:
    return Child(
        "test", [sys.executable, "-c", code], {**os.environ, **environment}, tmp_path, tmp_path / "test.log"
    )


def family(it: Child) -> list[psutil.Process]:
    assert it.process is not None
    top = psutil.Process(it.process.pid)
    assert wait_until(lambda: bool(top.children()), 10)
    return [top, *top.children(recursive=True)]


def gone(processes: list[psutil.Process]) -> bool:
    return wait_until(
        lambda: all(not p.is_running() or p.status() == psutil.STATUS_ZOMBIE for p in processes), 5
    )


def test_stopping_leaves_no_grandchild(tmp_path: Path) -> None:
    it = child(tmp_path, GRANDPARENT)
    it.start()
    all_of_it = family(it)
    it.stop()
    assert gone(all_of_it)
    assert it.tail() == "up"


def test_one_that_waits_goes_on_for_another_and_is_told_what_that_was(tmp_path: Path) -> None:
    code = "import sys, time\nprint('heard', sys.stdin.readline().strip(), flush=True)\ntime.sleep(60)"
    it, spare = child(tmp_path, code), child(tmp_path, code)
    it.told, spare.told, spare.log_file = "the order\n", "", tmp_path / "spare.log"
    it.start()
    spare.start()
    try:
        assert wait_until(lambda: it.tail() == "heard the order", 10)
        assert spare.tail() == ""
        it.end()
        it.take(spare)
        assert it.running and not spare.running
        assert wait_until(lambda: spare.tail() == "heard the order", 10)
    finally:
        it.stop()
        spare.stop()


def test_one_that_ends_is_started_again_without_what_it_left(tmp_path: Path) -> None:
    it = child(tmp_path, GRANDPARENT)
    it.start()
    try:
        first = family(it)
        first[0].kill()
        assert wait_until(it.watch, 10)
        assert gone(first)
        assert it.running and it.restarts == 1
    finally:
        it.stop()


def test_one_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    code = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)"
    it = child(tmp_path, code)
    it.start()
    assert wait_until(lambda: it.tail() == "up", 10)
    began = time.monotonic()
    it.stop(seconds=0.3)
    assert time.monotonic() - began < 2
    assert not it.running


def test_waits_grow_while_it_keeps_ending(tmp_path: Path) -> None:
    it = child(tmp_path, "raise SystemExit(1)")
    it.start()
    began = time.monotonic()
    assert wait_until(lambda: it.watch() and it.restarts == 2, 15)
    assert time.monotonic() - began > 2.5  # 1 s, then 2 s


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_child_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\nfrom pathlib import Path\nfrom core.processes import Child\n"
        "command = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
        "it = Child('x', command, os.environ, Path('.'), Path(sys.argv[1]))\n"
        "it.start()\ntime.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "inner.log")]
    it = Child("outer", command, {**os.environ, "PYTHONPATH": str(ROOT)}, tmp_path, tmp_path / "outer.log")
    it.start()
    try:
        _, inner = family(it)
        assert it.process is not None
        it.process.send_signal(signal.SIGKILL)
        assert gone([inner])
    finally:
        it.stop()


def test_what_carries_the_mark_is_found_and_nothing_else(tmp_path: Path) -> None:
    ours, other = (child(tmp_path, GRANDPARENT, **{MARK: mark}) for mark in ("a1", "b2"))
    ours.start()
    other.start()
    try:
        marked, spared = family(ours), family(other)
        assert kill_marked("a1") == 2
        assert gone(marked)
        assert all(p.is_running() for p in spared)
    finally:
        ours.stop()
        other.stop()


def test_a_lock_is_held_once_and_tells_who_was_killed(tmp_path: Path) -> None:
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert first.take("first")
    assert not second.take("second")
    assert first._file is not None
    first._file.close()  # what the kernel does when a process is killed
    assert second.take("second")
    assert second.left_behind == "first"
    second.release()
    assert first.take("third")
    assert first.left_behind == ""
    first.release()


def test_ports() -> None:
    port = free_port()
    assert port_is_free("127.0.0.1", port)
    assert not port_is_free("192.0.2.1", port)  # not an address of this machine


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc")
def test_memory_that_is_kept_is_not_cleared_anew_in_each_step() -> None:
    def faults(*arguments: str) -> int:
        command = [sys.executable, "-c", STEPS, *arguments]
        return int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)

    assert faults() > 20 * faults("kept")
