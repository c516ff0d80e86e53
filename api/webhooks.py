"""Webhooks for programs; for administrators alone."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from api.deps import Admin, Bench, Id
from api.router import Router
from core.notices import outbox, webhooks

router = Router(prefix="/v1/admin/webhooks", tags=["webhooks"])

LISTED = 200


class NewWebhook(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: str
    events: list[str]


class WebhookChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    events: list[str] | None = None
    active: bool | None = None


class WebhookOut(BaseModel):
    id: int
    url: str
    events: tuple[str, ...]
    active: bool
    created_at: datetime


class MadeOut(WebhookOut):
    secret: str
    """Not shown again."""


class NoticeOut(BaseModel):
    id: int
    message_id: str
    """The header `webhook-id`, the same each time it is sent."""
    event: str
    status: str
    """waiting, delivered or failed."""
    tries: int
    answer: str | None
    created_at: datetime
    next_at: datetime | None
    done_at: datetime | None


@router.get("", summary="All webhooks")
def every(wb: Bench, user: Admin) -> list[WebhookOut]:
    return [WebhookOut.model_validate(each, from_attributes=True) for each in webhooks.every(wb, user)]


@router.post("", status_code=201, summary="Add a webhook; its secret is shown once")
def create(wb: Bench, user: Admin, body: NewWebhook) -> MadeOut:
    made, secret = webhooks.create(wb, user, body.url, body.events)
    return MadeOut.model_validate({**vars(made), "secret": secret})


@router.patch("/{webhook_id}", summary="Change what it is told, or switch it off")
def change(wb: Bench, user: Admin, webhook_id: Id, body: WebhookChange) -> WebhookOut:
    made = webhooks.change(wb, user, webhook_id, events=body.events, active=body.active)
    return WebhookOut.model_validate(made, from_attributes=True)


@router.delete("/{webhook_id}", status_code=204, summary="Remove a webhook with its log")
def delete(wb: Bench, user: Admin, webhook_id: Id) -> None:
    webhooks.delete(wb, user, webhook_id)


@router.post("/{webhook_id}/test", status_code=202, summary="Send it a test")
def send_test(wb: Bench, user: Admin, webhook_id: Id) -> dict[str, int]:
    """Answers with the id of the notice in the log."""
    return {"notice_id": webhooks.send_test(wb, user, webhook_id)}


@router.get("/{webhook_id}/log", summary="What was sent to it, newest first")
def log(wb: Bench, user: Admin, webhook_id: Id) -> list[NoticeOut]:
    webhooks.get(wb, user, webhook_id)
    return [
        NoticeOut.model_validate(each, from_attributes=True) for each in outbox.newest(wb, LISTED, webhook_id)
    ]
