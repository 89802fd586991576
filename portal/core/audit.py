"""Audit events: every change and every sign-in, accepted or refused (AUD-1).

Who, when, from where, what, on what, result.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Integer, Select, String, Text, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from portal.core import clock
from portal.core.actor import Actor
from portal.core.database import Base
from portal.core.paging import Page, Search, paginate
from portal.core.text import contains, fold


class Result(enum.StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"


class AuditEvent(Base):
    __tablename__ = "audit_events"
    __table_args__ = (
        Index(None, "organization_id", "id"),
        Index(None, "organization_id", "action", "id"),
        Index(None, "organization_id", "target_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime]
    organization_id: Mapped[int | None]
    actor_kind: Mapped[str] = mapped_column(String(20))
    actor_id: Mapped[str] = mapped_column(String(64))
    actor_name: Mapped[str] = mapped_column(String(128))
    address: Mapped[str] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    target_type: Mapped[str] = mapped_column(String(32))
    target_id: Mapped[str] = mapped_column(String(64))
    target_name: Mapped[str] = mapped_column(String(256))
    account_uin: Mapped[int | None] = mapped_column(BigInteger)
    result: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]]
    search_key: Mapped[str] = mapped_column(Text)


_INSERT = AuditEvent.__table__.insert().inline()  # type: ignore[attr-defined]  # built once, and nobody needs its key


def record(
    session: Session,
    actor: Actor,
    action: str,
    *,
    target_type: str = "",
    target_id: str | int = "",
    target_name: str = "",
    account_uin: int | None = None,
    result: Result = Result.ACCEPTED,
    reason: str = "",
    details: dict[str, Any] | None = None,
    organization_id: int | None = None,
) -> None:
    """Adds the event to the caller's transaction. `action` is subject.verb ("user.create"); no secret goes in here.

    The organization is the actor's, unless `organization_id` names another (an anonymous sign-in to a space).
    """
    target: dict[str, Any] = {"target_type": target_type, "target_id": target_id, "target_name": target_name}
    event = _event(actor, action, result, reason, organization_id, account_uin=account_uin, details=details, **target)
    session.connection().execute(_INSERT, event)


def record_each(
    session: Session,
    actor: Actor,
    action: str,
    targets: Sequence[dict[str, Any]],
    *,
    organization_id: int | None = None,
) -> None:
    """The same for many targets, in one statement. Each has the arguments of `record` that are about it."""
    if targets:
        events = [_event(actor, action, Result.ACCEPTED, "", organization_id, **target) for target in targets]
        session.connection().execute(_INSERT, events)


def _event(
    actor: Actor,
    action: str,
    result: Result,
    reason: str,
    organization_id: int | None,
    *,
    target_type: str,
    target_id: str | int,
    target_name: str,
    account_uin: int | None,
    details: dict[str, Any] | None,
) -> dict[str, Any]:
    return {
        "at": clock.now(),
        "organization_id": organization_id if organization_id is not None else actor.organization_id,
        "actor_kind": actor.kind,
        "actor_id": actor.id[:64],
        "actor_name": actor.name[:128],
        "address": actor.address[:64],
        "request_id": actor.request_id[:64],
        "action": action,
        "target_type": target_type,
        "target_id": str(target_id)[:64],
        "target_name": target_name[:256],
        "account_uin": account_uin,
        "result": result,
        "reason": reason,
        "details": details or {},
        "search_key": fold(f"{actor.name} {action} {target_name} {target_id} {reason}"),
    }


def events(session: Session, organization_id: int, search: Search) -> Page[AuditEvent]:
    """Filters: `result` (accepted, refused), `action` (exact or the beginning), `request` (its id)."""
    statement: Select[Any] = select(AuditEvent).where(AuditEvent.organization_id == organization_id)
    if search.text:
        statement = statement.where(AuditEvent.search_key.like(contains(search.text), escape="\\"))
    if search.filter("result"):
        statement = statement.where(AuditEvent.result == search.filter("result"))
    if search.filter("request"):
        statement = statement.where(AuditEvent.request_id == search.filter("request"))
    if search.filter("action"):
        pattern = search.filter("action")
        statement = statement.where(
            or_(AuditEvent.action == pattern, AuditEvent.action.startswith(pattern + ".", autoescape=True))
        )
    newest = replace(search, sort=search.sort or "-time")
    return paginate(session, statement, newest, sorts={"time": AuditEvent.id}, key=AuditEvent.id, scalars=True)
