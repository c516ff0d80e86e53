"""Stored. People: accounts, roles, sign-in, sessions and bearer tokens."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from core.db.tables import audit_log, sessions, users
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound, NotSignedIn, TooMany

if TYPE_CHECKING:
    from core.workbench import Workbench

VIEWER, LABELER, TRAINER, ADMIN = ROLES = ("viewer", "labeler", "trainer", "admin")
COOKIE = "veritrain_session"

MIN_PASSWORD = 10
MAX_PASSWORD = 200
"""Characters; Argon2 would hash a megabyte too, slowly."""
MAX_NAME = 64
TOKEN_DAYS = 365
"""Life of a bearer token for scripts."""
TRIES, TRIES_SECONDS = 8, 300.0
"""Failed sign-ins of one name from one address within this time before both must wait."""


@dataclass(frozen=True)
class User:
    id: int
    name: str
    role: str
    language: str | None = None
    active: bool = True

    def may(self, role: str) -> bool:
        """True when this person has `role` or a higher one."""
        return self.active and ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True)
class Token:
    """A bearer token as its owner sees it; the token itself is shown once, when it is made."""

    key: str
    name: str
    created_at: datetime
    expires_at: datetime


def require(actor: User | None, role: str) -> User:
    """The actor, if they may act as `role`. Raises NotSignedIn or NotAllowed."""
    if actor is None:
        raise NotSignedIn("Sign in to go on.")
    if not actor.may(role):
        raise NotAllowed(
            "This needs the role “{needed}”; yours is “{have}”. Ask an administrator to change it.",
            needed=role,
            have=actor.role,
        )
    return actor


# --- accounts ---------------------------------------------------------------


def first_run(wb: Workbench) -> bool:
    """True until the administrator's account exists."""
    with wb.db.read() as connection:
        return connection.execute(sa.select(users.c.id).limit(1)).first() is None


def create_first_admin(wb: Workbench, name: str, password: str, setup_token: str) -> User:
    """Make the administrator of a fresh installation.

    Raises NotAllowed for a wrong setup token, Conflict when an account exists already.
    """
    wanted = wb.settings.setup_token
    if wanted and not hmac.compare_digest(wanted.encode(), setup_token.strip().encode()):
        raise NotAllowed(
            "The setup token is not right; copy it from the console where Veritrain was started."
        )
    name, hashed = _name(name), _hash(password)

    def work(connection: sa.Connection) -> User:
        if connection.dialect.name != "duckdb":
            connection.execute(sa.text("LOCK TABLE users IN EXCLUSIVE MODE"))
        if connection.execute(sa.select(users.c.id).limit(1)).first():
            raise Conflict("An administrator exists already; sign in instead.")
        return _insert(connection, name, hashed, ADMIN)

    return wb.db.write(work)


def create_user(wb: Workbench, actor: User, name: str, password: str, role: str) -> User:
    """Raises InvalidInput for a poor name, password or role, Conflict when the name is taken."""
    require(actor, ADMIN)
    name, hashed = _name(name), _hash(password)
    _role(role)

    def work(connection: sa.Connection) -> User:
        if connection.execute(
            sa.select(users.c.id).where(sa.func.lower(users.c.name) == name.lower())
        ).first():
            raise Conflict("There is already a person named “{name}”; choose another name.", name=name)
        user = _insert(connection, name, hashed, role)
        _audit(connection, actor, "user.create", user, {"role": role})
        return user

    return wb.db.write(work)


def list_users(wb: Workbench) -> list[User]:
    with wb.db.read() as connection:
        return [_user(row) for row in connection.execute(sa.select(users).order_by(users.c.name)).mappings()]


def set_role(wb: Workbench, actor: User, user_id: int, role: str) -> None:
    """Raises Conflict when this would leave no administrator."""
    require(actor, ADMIN)
    _role(role)
    _change(wb, actor, user_id, "user.role", role=role)


def set_active(wb: Workbench, actor: User, user_id: int, active: bool) -> None:
    """Let a person in, or keep them out: their sessions and tokens end at once."""
    require(actor, ADMIN)
    _change(wb, actor, user_id, "user.active", active=active)


def set_password(wb: Workbench, actor: User, user_id: int, password: str, current: str | None = None) -> None:
    """Set a password and end that person's other sessions.

    One's own needs the `current` one; another person's needs an administrator.
    """
    if actor.id == user_id:
        with wb.db.read() as connection:
            known = connection.execute(sa.select(users.c.password_hash).where(users.c.id == user_id)).scalar()
        if not _verify(known, current or ""):
            raise InvalidInput("The current password is not right.")
    else:
        require(actor, ADMIN)
    hashed = _hash(password)

    def work(connection: sa.Connection) -> None:
        _one(connection, user_id)
        connection.execute(
            users.update()
            .where(users.c.id == user_id)
            .values(password_hash=hashed, updated_at=datetime.now(UTC))
        )
        connection.execute(sessions.delete().where(sessions.c.user_id == user_id))
        _audit(connection, actor, "user.password", User(user_id, "", VIEWER), None)

    wb.db.write(work)


def set_language(wb: Workbench, actor: User, language: str) -> None:
    """The language in which this person sees the screens."""
    from core.i18n import LANGUAGES

    if language not in LANGUAGES:
        raise InvalidInput("“{language}” is not a language Veritrain speaks.", language=language)
    wb.db.write(
        lambda connection: (
            connection.execute(users.update().where(users.c.id == actor.id).values(language=language))
            and None
        )
    )


# --- sessions and tokens ----------------------------------------------------


def sign_in(wb: Workbench, name: str, password: str, client: str) -> str:
    """A new browser session's token. `client` is the caller's address.

    Raises NotSignedIn (the same sentence for a wrong name and a wrong password) and TooMany.
    """
    _limiter.check(client, name)
    with wb.db.read() as connection:
        row = (
            connection.execute(sa.select(users).where(sa.func.lower(users.c.name) == name.strip().lower()))
            .mappings()
            .first()
        )
    # An unknown name costs the same time as a wrong password.
    known = row is not None and bool(row["active"])
    good = _verify(row["password_hash"] if row is not None else _NOBODY, password)
    if not (known and good):
        _limiter.failed(client, name)
        raise NotSignedIn("Name or password is not right.")
    _limiter.passed(client, name)
    assert row is not None
    return _start_session(
        wb, int(row["id"]), "browser", None, timedelta(days=wb.settings.session_days), prune=True
    )


def sign_out(wb: Workbench, token: str | None) -> None:
    if token:
        wb.db.write(
            lambda connection: (
                connection.execute(sessions.delete().where(sessions.c.token_hash == _digest(token))) and None
            )
        )


_SIGNED_IN = (  # every request asks this, so it is built once
    sa.select(users)
    .join(sessions, sessions.c.user_id == users.c.id)
    .where(sessions.c.token_hash == sa.bindparam("token"), sessions.c.expires_at > sa.bindparam("now"))
    .where(users.c.active)
)


def user_of(wb: Workbench, token: str | None) -> User | None:
    """The person behind a session cookie or bearer token; None when it is unknown, over, or locked out."""
    if not token:
        return None
    with wb.db.read() as connection:
        bound = {"token": _digest(token), "now": datetime.now(UTC)}
        row = connection.execute(_SIGNED_IN, bound).mappings().first()
    return _user(row) if row else None


def issue_token(wb: Workbench, actor: User, name: str) -> str:
    """A bearer token for scripts, with the rights of its owner; it is shown only now."""
    name = name.strip()[:MAX_NAME]
    if not name:
        raise InvalidInput("Name the token, so that you know later what it is for.")
    return _start_session(wb, actor.id, "token", name, timedelta(days=TOKEN_DAYS))


def list_tokens(wb: Workbench, actor: User) -> list[Token]:
    query = (
        sa.select(sessions)
        .where(sessions.c.user_id == actor.id, sessions.c.kind == "token")
        .order_by(sessions.c.created_at)
    )
    with wb.db.read() as connection:
        return [
            Token(row["token_hash"], row["name"] or "", row["created_at"], row["expires_at"])
            for row in connection.execute(query).mappings()
        ]


def revoke_token(wb: Workbench, actor: User, key: str) -> None:
    """End one of the actor's own tokens, named by its `Token.key`."""
    wb.db.write(
        lambda connection: (
            connection.execute(
                sessions.delete().where(
                    sessions.c.token_hash == key, sessions.c.user_id == actor.id, sessions.c.kind == "token"
                )
            )
            and None
        )
    )


# --- inside -----------------------------------------------------------------

_hasher = PasswordHasher()  # Argon2id with the library's defaults (RFC 9106, low-memory profile)
_NOBODY = _hasher.hash(secrets.token_urlsafe(16))


class _Limiter:
    """Failed sign-ins by (address, name), kept in memory: a restart forgives, a guesser gains little."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: dict[tuple[str, str], deque[float]] = {}

    def _recent(self, client: str, name: str) -> deque[float]:
        horizon = time.monotonic() - TRIES_SECONDS
        for key in [k for k, v in self._failures.items() if not v or v[-1] < horizon]:
            del self._failures[key]
        times = self._failures.get((client, name.strip().lower()), deque())
        while times and times[0] < horizon:
            times.popleft()
        return times

    def check(self, client: str, name: str) -> None:
        with self._lock:
            times = self._recent(client, name)
            if len(times) >= TRIES:
                wait = int(times[0] + TRIES_SECONDS - time.monotonic()) + 1
                raise TooMany("Too many failed sign-ins; try again in {seconds} seconds.", seconds=wait)

    def failed(self, client: str, name: str) -> None:
        with self._lock:
            self._recent(client, name)
            self._failures.setdefault((client, name.strip().lower()), deque()).append(time.monotonic())

    def passed(self, client: str, name: str) -> None:
        with self._lock:
            self._failures.pop((client, name.strip().lower()), None)


_limiter = _Limiter()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _start_session(
    wb: Workbench, user_id: int, kind: str, name: str | None, life: timedelta, prune: bool = False
) -> str:
    token = secrets.token_urlsafe(32)
    now = datetime.now(UTC)

    def work(connection: sa.Connection) -> None:
        if prune:
            connection.execute(sessions.delete().where(sessions.c.expires_at < now))
        connection.execute(
            sessions.insert().values(
                token_hash=_digest(token),
                user_id=user_id,
                kind=kind,
                name=name,
                created_at=now,
                expires_at=now + life,
            )
        )

    wb.db.write(work)
    return token


def _name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidInput("A name has 1 to {limit} visible characters.", limit=MAX_NAME)
    return name


def _role(role: str) -> None:
    if role not in ROLES:
        raise InvalidInput("“{role}” is not a role; choose one of {all}.", role=role, all=", ".join(ROLES))


def _hash(password: str) -> str:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise InvalidInput(
            "A password has {low} to {high} characters; this one has {n}.",
            low=MIN_PASSWORD,
            high=MAX_PASSWORD,
            n=len(password),
        )
    return _hasher.hash(password)


def _verify(hashed: str | None, password: str) -> bool:
    try:
        return _hasher.verify(hashed or _NOBODY, password[: MAX_PASSWORD + 1])
    except (VerifyMismatchError, InvalidHashError):
        return False


def _user(row: Any) -> User:
    return User(int(row["id"]), row["name"], row["role"], row["language"], bool(row["active"]))


def _insert(connection: sa.Connection, name: str, hashed: str, role: str) -> User:
    now = datetime.now(UTC)
    row = (
        connection.execute(
            users.insert()
            .values(name=name, password_hash=hashed, role=role, active=True, created_at=now, updated_at=now)
            .returning(users)
        )
        .mappings()
        .one()
    )
    return _user(row)


def _one(connection: sa.Connection, user_id: int) -> User:
    row = connection.execute(sa.select(users).where(users.c.id == user_id)).mappings().first()
    if row is None:
        raise NotFound("There is no person {id}.", id=user_id)
    return _user(row)


def _change(wb: Workbench, actor: User, user_id: int, action: str, **values: Any) -> None:
    def work(connection: sa.Connection) -> None:
        user = _one(connection, user_id)
        stays_admin = values.get("role", user.role) == ADMIN and values.get("active", user.active)
        others = connection.execute(
            sa.select(users.c.id).where(users.c.role == ADMIN, users.c.active, users.c.id != user_id).limit(1)
        ).first()
        if user.role == ADMIN and user.active and not stays_admin and others is None:
            raise Conflict("“{name}” is the only administrator; make someone else one first.", name=user.name)
        connection.execute(
            users.update().where(users.c.id == user_id).values(**values, updated_at=datetime.now(UTC))
        )
        if values.get("active") is False:
            connection.execute(sessions.delete().where(sessions.c.user_id == user_id))
        _audit(connection, actor, action, user, values)

    wb.db.write(work)


def _audit(
    connection: sa.Connection, actor: User, action: str, user: User, detail: dict[str, Any] | None
) -> None:
    connection.execute(
        audit_log.insert().values(
            at=datetime.now(UTC),
            user_id=actor.id,
            user_name=actor.name,
            action=action,
            object=f"user {user.id}",
            detail=detail,
        )
    )
