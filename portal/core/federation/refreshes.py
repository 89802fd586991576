"""Metadata that is read again from its address (IC-6): whose turn it is, and what came of it.

Certificates are taken over as they are read: that is what an address is for. Another place to send everybody to is not:
that waits like any new data until somebody has tested and trusted it.

take      refresh_at by compare-and-set, so that of many workers one reads; if that one dies, its turn ends by itself
settle    what was read, if it still is what the space wants to read and describes the same identity provider
fail      why not; the trust that there is stays
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal.core import audit, clock
from portal.core.actor import Actor
from portal.core.errors import Conflict
from portal.core.federation import offers
from portal.core.federation.identity_provider import TrustedIdentityProvider, current, set_identity_provider
from portal.core.federation.models import IdentityProvider
from portal.core.space.models import Space

USUAL = timedelta(hours=24)
SHORTEST = timedelta(hours=1)
AFTER_FAILURE = timedelta(hours=1)
_TURN = timedelta(minutes=5)
_AT_ONCE = 100
_DOOR = {"sso_url", "sso_binding"}
_ENDPOINTS = ("sso_url", "sso_binding", "slo_url", "slo_binding", "slo_response_url")


class Settled(enum.Enum):
    """What came of what was read."""

    UNCHANGED = enum.auto()
    TRUSTED = enum.auto()
    WAITS = enum.auto()


@dataclass(frozen=True)
class Turn:
    """Somebody's turn to read `url`. `until` is what refresh_at says as long as nobody else has it."""

    space: Space
    url: str
    signed_by: str
    until: datetime


def due(session: Session) -> list[str]:
    """Ids of the spaces whose metadata is to be read now."""
    statement = select(IdentityProvider.space_id).where(IdentityProvider.refresh_at <= clock.now())
    return list(session.scalars(statement.order_by(IdentityProvider.refresh_at).limit(_AT_ONCE)))


def take(session: Session, space_id: str, *, now_due: bool = True) -> Turn | None:
    """None when there is no address, it is not due, or somebody else was quicker.

    `now_due=False`: it need not be due. Conflict then while somebody has the turn: what they read is to count.
    What is due within the time of a turn looks the same, and is read as soon.
    """
    row = session.get(IdentityProvider, space_id, populate_existing=True)
    if row is None or row.metadata_url is None:
        return None
    if now_due and (row.refresh_at is None or row.refresh_at > clock.now()):
        return None
    until = clock.now() + _TURN
    if not now_due and row.refresh_at is not None and clock.now() < row.refresh_at <= until:
        raise _being_read()
    statement = update(IdentityProvider).where(
        IdentityProvider.space_id == space_id, IdentityProvider.refresh_at.is_not_distinct_from(row.refresh_at)
    )
    taken: Any = session.execute(statement.values(refresh_at=until), execution_options={"synchronize_session": False})
    if not taken.rowcount:
        if now_due:
            return None
        raise _being_read()
    return Turn(session.get_one(Space, space_id), row.metadata_url, row.metadata_certificates, until)


def _being_read() -> Conflict:
    return Conflict("It is being read already, or will be within five minutes. Look again then.")


def settle(session: Session, actor: Actor, *, turn: Turn, read: TrustedIdentityProvider, again_at: datetime) -> Settled:
    """Trust what was read, or with another login address keep it to be tested. Conflict when it describes another
    identity provider, and when it would have to wait where other data waits already.

    A passed test does not outlive a certificate that leaves. Does nothing when the address was changed meanwhile, or
    the turn went to somebody else.
    """
    row = _held(session, turn)
    before = current(session, turn.space)
    if row is None or before is None:
        return Settled.UNCHANGED
    if read.entity_id != before.entity_id:
        raise Conflict(
            f"The metadata now describes another identity provider, {read.entity_id}. It is not taken over by itself; "
            "configure the identity provider if that is meant."
        )
    changes = _changes(before, read)
    settled = Settled.UNCHANGED
    if changes.keys() & _DOOR:
        _keep(session, actor, turn, read)
        settled = Settled.WAITS
    elif changes:
        lost = changes.get("certificates", {}).get("removed")
        set_identity_provider(
            session,
            actor,
            space=turn.space,
            idp=replace(read, tested_at=None if lost else before.tested_at),
            action="sso.refresh_metadata",
            details=changes,
        )
        settled = Settled.TRUSTED
    row.refreshed_at, row.refresh_at, row.refresh_error = clock.now(), again_at, ""
    session.flush()
    return settled


def fail(session: Session, actor: Actor, *, turn: Turn, reason: str) -> None:
    """Keep the reason and try again in an hour; audited when it is another reason than before."""
    row = _held(session, turn)
    if row is None:
        return
    if row.refresh_error != reason[:1024]:
        audit.record(
            session,
            actor,
            "sso.refresh_metadata",
            target_type="space",
            target_id=turn.space.id,
            target_name=turn.space.name,
            result=audit.Result.REFUSED,
            reason=reason,
            details={"url": turn.url},
        )
    row.refresh_at, row.refresh_error = clock.now() + AFTER_FAILURE, reason[:1024]
    session.flush()


def _keep(session: Session, actor: Actor, turn: Turn, read: TrustedIdentityProvider) -> None:
    """What waits from this address is replaced by what stands there now, what somebody brought is not."""
    there = offers.waiting(session, turn.space, lock=True)
    if there is not None and there.metadata_url != turn.url:
        raise Conflict(
            f"The metadata now names another login address, {read.sso_url}. It is not taken over by itself, and cannot "
            "be kept while other data waits: trust or discard that first."
        )
    if not offers.waits(session, turn.space, read):
        offers.offer(session, actor, space=turn.space, idp=read)


def _held(session: Session, turn: Turn) -> IdentityProvider | None:
    row = session.get(IdentityProvider, turn.space.id, with_for_update=True, populate_existing=True)
    if row is None or (row.refresh_at, row.metadata_url, row.metadata_certificates) != (
        turn.until,
        turn.url,
        turn.signed_by,
    ):
        return None
    return row


def _changes(before: TrustedIdentityProvider, read: TrustedIdentityProvider) -> dict[str, Any]:
    changes: dict[str, Any] = {
        name: {"before": getattr(before, name), "now": getattr(read, name)}
        for name in _ENDPOINTS
        if getattr(before, name) != getattr(read, name)
    }
    old, new = ({one.fingerprint for one in idp.certificates} for idp in (before, read))
    if old != new:
        changes["certificates"] = {"added": sorted(new - old), "removed": sorted(old - new)}
    return changes
