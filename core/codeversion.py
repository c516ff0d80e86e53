"""Pure. Which source this is: git commit, whether the tree differs from it, and a hash of the code itself."""

from __future__ import annotations

import hashlib
import subprocess

from core.settings import ROOT, Settings
from core.spec import CodeVersion

ROOMS = ("core", "jobs")
"""The folders whose Python files decide what a run does."""


def current(settings: Settings) -> CodeVersion | None:
    """The version of this source; None where neither git nor VERITRAIN_GIT_COMMIT knows a commit."""
    if settings.git_commit:
        return CodeVersion(commit=settings.git_commit, dirty=False, source_hash=source_hash())
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=all", "--", *ROOMS)
    if not commit or changed is None:
        return None
    return CodeVersion(commit=commit, dirty=bool(changed), source_hash=source_hash())


def source_hash() -> str:
    """SHA-256 over names and bytes of the Python files that decide what a run does."""
    digest = hashlib.sha256()
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
