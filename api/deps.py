"""What every route asks for: the open workbench and the signed-in person.

Neither waits for anything, so both are `async`: FastAPI would send a plain function to another thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Path, Request

from core import auth
from core.errors import NotSignedIn
from core.workbench import Workbench, current


async def workbench() -> Workbench:
    """The workbench that the app's lifespan opened."""
    return current()


def person(role: str) -> Callable[[Request], Awaitable[auth.User]]:
    """A dependency: the person whom api.security found for the request, if they have `role` or more."""

    async def signed_in(request: Request) -> auth.User:
        user: auth.User | None = request.scope.get("state", {}).get("user")
        if user is None:
            raise NotSignedIn("Sign in first.")
        auth.require(user, role)
        return user

    return signed_in


Bench = Annotated[Workbench, Depends(workbench)]
Viewer = Annotated[auth.User, Depends(person(auth.VIEWER))]
Labeler = Annotated[auth.User, Depends(person(auth.LABELER))]
Trainer = Annotated[auth.User, Depends(person(auth.TRAINER))]
Admin = Annotated[auth.User, Depends(person(auth.ADMIN))]
Id = Annotated[int, Path(ge=1, le=2**63 - 1)]
"""An id in a path; what no database could hold is refused at the door."""
