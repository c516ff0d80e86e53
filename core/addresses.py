"""Pure. The addresses of the screens, and the older paths that lead to them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlencode


@dataclass(frozen=True)
class Screen:
    """One screen: its path, the file in pages/ that draws it, the role it needs, and whether the menu lists it."""

    path: str
    file: str
    role: str = "viewer"
    in_menu: bool = True


SCREENS = (
    Screen("", "themes.py"),
    Screen("theme", "theme.py", in_menu=False),
    Screen("overview", "overview.py", in_menu=False),
    Screen("quality", "quality.py", in_menu=False),
    Screen("team", "team.py", in_menu=False),
    Screen("transfer", "transfer.py", role="labeler", in_menu=False),
    Screen("parameters", "parameters.py", in_menu=False),
    Screen("tuning", "tuning.py", in_menu=False),
    Screen("training", "training.py", in_menu=False),
    Screen("run", "run.py", in_menu=False),
    Screen("compare", "compare.py", in_menu=False),
    Screen("datasets", "datasets.py"),
    Screen("dataset", "dataset.py", in_menu=False),
    Screen("queue", "queue.py"),
    Screen("history", "history.py"),
    Screen("models", "models.py"),
    Screen("monitoring", "monitoring.py", in_menu=False),
    Screen("rules", "rules.py", in_menu=False),
    Screen("passport", "passport.py", in_menu=False),
    Screen("predict", "predict.py"),
    Screen("ab", "ab.py"),
    Screen("abtest", "abtest.py", in_menu=False),
    Screen("duel", "duel.py", in_menu=False),
    Screen("users", "users.py", role="admin"),
    Screen("webhooks", "webhooks.py", role="admin", in_menu=False),
    Screen("account", "account.py", in_menu=False),
)

PATHS = frozenset(f"/{screen.path}" for screen in SCREENS)

_REDIRECTS = tuple(
    (re.compile(pattern), target)
    for pattern, target in (
        (r"/theme/create/?", "/?create=1"),
        (r"/theme/(\d{1,18})/?", "/theme?theme={0}"),
        (r"/theme/(\d{1,18})/training/config/?", "/parameters?theme={0}"),
        (r"/theme/(\d{1,18})/training/run/?", "/training?theme={0}"),
        (r"/theme/(\d{1,18})/training/history/?", "/history?theme={0}"),
        (r"/theme/(\d{1,18})/training/result/(\d{1,18})/?", "/run?run={1}"),
        (r"/theme/(\d{1,18})/inference/?", "/predict?theme={0}"),
        (
            rf"/({'|'.join(screen.path for screen in SCREENS if screen.path)})/",
            "/{0}",
        ),
    )
)


def redirect(path: str) -> str | None:
    """Where an older or slashed path leads, or None when it is not one."""
    for pattern, target in _REDIRECTS:
        if match := pattern.fullmatch(path):
            return target.format(*match.groups())
    return None


@dataclass(frozen=True)
class Address:
    """A place in the product: a screen and its query."""

    path: str
    """Of one of SCREENS."""
    query: dict[str, str | int]

    @property
    def file(self) -> str:
        """The file in pages/ that draws it."""
        return next(screen.file for screen in SCREENS if screen.path == self.path)

    @property
    def url(self) -> str:
        return f"/{self.path}?{urlencode(self.query)}"
