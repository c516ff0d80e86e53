"""People, for administrators; bearer tokens, for everybody's own scripts."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from api.deps import Admin, Bench, Viewer
from api.router import Router
from core import auth

router = Router(tags=["people"])


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewPerson(_In):
    name: str
    password: str
    role: str = auth.LABELER


class PersonChange(_In):
    role: str | None = None
    active: bool | None = None
    password: str | None = None


class PersonOut(BaseModel):
    id: int
    name: str
    role: str
    active: bool


class NewToken(_In):
    name: str


class TokenOut(BaseModel):
    key: str
    name: str
    created_at: datetime
    expires_at: datetime


class IssuedToken(BaseModel):
    token: str


@router.get("/users", summary="Everybody with an account")
def list_people(wb: Bench, _user: Admin) -> list[PersonOut]:
    return [PersonOut.model_validate(user, from_attributes=True) for user in auth.list_users(wb)]


@router.post("/users", status_code=201, summary="Add a person")
def create_person(wb: Bench, user: Admin, body: NewPerson) -> PersonOut:
    made = auth.create_user(wb, user, body.name, body.password, body.role)
    return PersonOut.model_validate(made, from_attributes=True)


@router.put("/users/{user_id}", status_code=204, summary="Change role, access or password")
def change_person(wb: Bench, user: Admin, user_id: int, body: PersonChange) -> None:
    if body.role is not None:
        auth.set_role(wb, user, user_id, body.role)
    if body.active is not None:
        auth.set_active(wb, user, user_id, body.active)
    if body.password is not None:
        auth.set_password(wb, user, user_id, body.password)


@router.get("/tokens", summary="Your bearer tokens")
def list_tokens(wb: Bench, user: Viewer) -> list[TokenOut]:
    return [TokenOut.model_validate(token, from_attributes=True) for token in auth.list_tokens(wb, user)]


@router.post("/tokens", status_code=201, summary="Make a bearer token; it is shown once")
def issue_token(wb: Bench, user: Viewer, body: NewToken) -> IssuedToken:
    return IssuedToken(token=auth.issue_token(wb, user, body.name))


@router.delete("/tokens/{key}", status_code=204, summary="End one of your tokens")
def revoke_token(wb: Bench, user: Viewer, key: str) -> None:
    auth.revoke_token(wb, user, key)
