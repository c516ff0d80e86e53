"""Accounts, roles, sessions and tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from core import auth
from core.db.tables import sessions
from core.errors import Conflict, InvalidInput, NotAllowed, NotSignedIn, TooMany
from core.workbench import Workbench
from tests.conftest import PASSWORD


def test_the_first_administrator_is_made_once_and_with_the_setup_token(wb: Workbench) -> None:
    guarded = replace(wb, settings=replace(wb.settings, setup_token="abc"))
    assert auth.first_run(guarded)
    with pytest.raises(NotAllowed, match="setup token"):
        auth.create_first_admin(guarded, "Eve", PASSWORD, "abd")
    user = auth.create_first_admin(guarded, "Ada", PASSWORD, " abc ")
    assert (user.role, auth.first_run(guarded)) == (auth.ADMIN, False)
    with pytest.raises(Conflict, match="exists already"):
        auth.create_first_admin(guarded, "Eve", PASSWORD, "abc")


def test_a_role_may_what_the_lower_ones_may(wb_duckdb: Workbench, labeler: auth.User) -> None:
    assert auth.require(labeler, auth.VIEWER) is labeler
    with pytest.raises(NotAllowed, match="“trainer”; yours is “labeler”"):
        auth.require(labeler, auth.TRAINER)
    with pytest.raises(NotSignedIn):
        auth.require(None, auth.VIEWER)
    with pytest.raises(NotAllowed):
        auth.create_user(wb_duckdb, labeler, "friend", PASSWORD, auth.ADMIN)


def test_sign_in_says_the_same_for_a_wrong_name_and_a_wrong_password(
    wb: Workbench, viewer: auth.User
) -> None:
    sentences = set()
    for name, password in (("viewer", "wrong password"), ("nobody", PASSWORD)):
        with pytest.raises(NotSignedIn) as error:
            auth.sign_in(wb, name, password, "192.0.2.1")
        sentences.add(str(error.value))
    assert len(sentences) == 1
    token = auth.sign_in(wb, " VIEWER ", PASSWORD, "192.0.2.1")
    assert auth.user_of(wb, token) == viewer
    with wb.db.read() as connection:
        stored = connection.execute(sa.select(sessions.c.token_hash)).scalars().all()
    assert token not in stored
    auth.sign_out(wb, token)
    assert auth.user_of(wb, token) is None


def test_guessing_is_slowed_down_for_one_name_from_one_address(
    wb_duckdb: Workbench, viewer: auth.User
) -> None:
    for _ in range(auth.TRIES):
        with pytest.raises(NotSignedIn):
            auth.sign_in(wb_duckdb, "viewer", "wrong password", "192.0.2.9")
    with pytest.raises(TooMany, match="again in"):
        auth.sign_in(wb_duckdb, "viewer", PASSWORD, "192.0.2.9")
    assert auth.sign_in(wb_duckdb, "viewer", PASSWORD, "192.0.2.10")


def test_an_old_session_counts_no_more(wb: Workbench, viewer: auth.User) -> None:
    token = auth.sign_in(wb, "viewer", PASSWORD, "192.0.2.2")
    wb.db.write(
        lambda connection: (
            connection.execute(
                sessions.update().values(expires_at=sessions.c.created_at - sa.text("INTERVAL '1 day'"))
            )
            and None
        )
    )
    assert auth.user_of(wb, token) is None


def test_keeping_a_person_out_ends_their_sessions_and_tokens(
    wb: Workbench, admin: auth.User, trainer: auth.User
) -> None:
    session = auth.sign_in(wb, "trainer", PASSWORD, "192.0.2.3")
    bearer = auth.issue_token(wb, trainer, "script")
    auth.set_active(wb, admin, trainer.id, False)
    auth.set_active(wb, admin, trainer.id, True)
    assert auth.user_of(wb, session) is None
    assert auth.user_of(wb, bearer) is None


def test_the_last_administrator_stays_one(wb: Workbench, admin: auth.User, viewer: auth.User) -> None:
    for act in (
        lambda: auth.set_role(wb, admin, admin.id, auth.VIEWER),
        lambda: auth.set_active(wb, admin, admin.id, False),
    ):
        with pytest.raises(Conflict, match="only administrator"):
            act()
    auth.set_role(wb, admin, viewer.id, auth.ADMIN)
    auth.set_role(wb, admin, admin.id, auth.VIEWER)
    assert {user.name: user.role for user in auth.list_users(wb)}["admin"] == auth.VIEWER


def test_ones_own_password_needs_the_current_one_and_ends_sessions(wb: Workbench, viewer: auth.User) -> None:
    token = auth.sign_in(wb, "viewer", PASSWORD, "192.0.2.4")
    with pytest.raises(InvalidInput, match="current password"):
        auth.set_password(wb, viewer, viewer.id, "another good one", "wrong")
    with pytest.raises(InvalidInput, match="10 to 200 characters; this one has 5"):
        auth.set_password(wb, viewer, viewer.id, "short", PASSWORD)
    auth.set_password(wb, viewer, viewer.id, "another good one", PASSWORD)
    assert auth.user_of(wb, token) is None
    assert auth.sign_in(wb, "viewer", "another good one", "192.0.2.4")


def test_a_token_acts_for_its_owner_until_it_is_ended(
    wb: Workbench, viewer: auth.User, labeler: auth.User
) -> None:
    token = auth.issue_token(wb, viewer, "nightly script")
    assert auth.user_of(wb, token) == viewer
    [listed] = auth.list_tokens(wb, viewer)
    assert listed.name == "nightly script"
    auth.revoke_token(wb, labeler, listed.key)  # another person's token is left alone
    assert auth.user_of(wb, token) == viewer
    auth.revoke_token(wb, viewer, listed.key)
    assert auth.user_of(wb, token) is None


def test_names_are_taken_in_any_case(wb: Workbench, admin: auth.User, viewer: auth.User) -> None:
    with pytest.raises(Conflict, match="already a person"):
        auth.create_user(wb, admin, "Viewer", PASSWORD, auth.VIEWER)
    with pytest.raises(InvalidInput, match="1 to 64"):
        auth.create_user(wb, admin, "  ", PASSWORD, auth.VIEWER)
    with pytest.raises(InvalidInput, match="not a role"):
        auth.create_user(wb, admin, "x", PASSWORD, "king")
